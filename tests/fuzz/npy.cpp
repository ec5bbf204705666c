// A .npy file.
#include "core/io/npy.hpp"
#include "core/io/detail/mapped_container.hpp"
#include "tests/fuzz/container.hpp"

namespace gauntlet::fuzz {

void npy(Bytes bytes) {
  const MemoryFile file(bytes);
  const auto array = io::read_npy(file.path());
  const auto container = io::detail::open_npy_container(file.path());
  GAUNTLET_CHECK(array.has_value() == container.has_value());
  if (!container) return;
  GAUNTLET_CHECK((*container)->arrays().front().dims == array->shape);
  read_everything(**container);
}

}  // namespace gauntlet::fuzz
