// An HDF5 file, as far as our reader hands it to libhdf5.
#include "core/io/hdf5.hpp"
#include "tests/fuzz/container.hpp"

/// libhdf5 forgets memory when a damaged file stops it in the middle.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }  // the sanitizer's own name

namespace gauntlet::fuzz {

void hdf5(Bytes bytes) {
  const MemoryFile file(bytes);
  const auto container = io::open_hdf5(file.path());
  if (container) read_everything(**container);
}

}  // namespace gauntlet::fuzz
