// Where the recorded cases of the original implementations lie.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace gauntlet::testing {

/// tests/parity, or the folder that GAUNTLET_PARITY_DIR names: cases of any sizes and hyper-parameters.
inline std::filesystem::path parity_folder() {
  const char* elsewhere = std::getenv("GAUNTLET_PARITY_DIR");
  if (elsewhere != nullptr && *elsewhere != '\0') return elsewhere;
  return std::filesystem::path(GAUNTLET_SOURCE_DIR) / "tests" / "parity";
}

}  // namespace gauntlet::testing
