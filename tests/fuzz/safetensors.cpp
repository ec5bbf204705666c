// A .safetensors file.
#include "core/io/safetensors.hpp"
#include "core/io/detail/mapped_container.hpp"
#include "tests/fuzz/container.hpp"

namespace gauntlet::fuzz {

void safetensors(Bytes bytes) {
  const MemoryFile file(bytes);
  const auto tensors = io::read_safetensors(file.path());
  const auto container = io::detail::open_safetensors_container(file.path());
  GAUNTLET_CHECK(tensors.has_value() || !container.has_value());
  if (container) read_everything(**container);
}

}  // namespace gauntlet::fuzz
