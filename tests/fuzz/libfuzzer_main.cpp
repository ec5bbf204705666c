// The entry point that libFuzzer looks for; GAUNTLET_FUZZ_TARGET is a function of targets.hpp.
#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t n_bytes) {
  gauntlet::fuzz::GAUNTLET_FUZZ_TARGET({bytes, n_bytes});
  return 0;
}
