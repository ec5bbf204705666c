// A MATLAB file of version 5.
#include "core/io/mat5.hpp"
#include "tests/fuzz/container.hpp"

namespace gauntlet::fuzz {

void mat5(Bytes bytes) {
  const MemoryFile file(bytes);
  const auto container = io::open_mat5(file.path());
  if (container) read_everything(**container);
}

}  // namespace gauntlet::fuzz
