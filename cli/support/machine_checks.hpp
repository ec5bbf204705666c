// What a machine must offer to run sweeps, one check at a time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace gauntlet::cli {

enum class CheckLevel : std::uint8_t {
  kOk,
  kWarn,  ///< works, but slower, with less, or at a risk that is named
  kFail,  ///< sweeps cannot run so
};

struct MachineCheck {
  std::string name;
  CheckLevel level = CheckLevel::kOk;
  std::string detail;       ///< what was found
  std::string remedy = {};  ///< what helps; "" when nothing is wrong
  Json facts = Json::object();
};

/// Every check. Nothing is changed but for a probe file, removed again, in the work folder and beside the
/// database.
[[nodiscard]] std::vector<MachineCheck> check_machine(const std::filesystem::path& workdir,
                                                      const std::filesystem::path& database);

/// The file system of a folder, which is made if it is not there, and how long a small synced write takes
/// there. `for_database`: it must be able to keep one.
[[nodiscard]] std::vector<MachineCheck> check_disk(const std::filesystem::path& folder,
                                                   bool for_database = true);

/// Processors, memory, open files, clock.
[[nodiscard]] std::vector<MachineCheck> check_system(const std::filesystem::path& workdir);
/// Ports, and the coordinator that serves the work folder, if any.
[[nodiscard]] std::vector<MachineCheck> check_network(const std::filesystem::path& workdir);
/// GPUs, gauntlet-rank, LibTorch, NCCL.
[[nodiscard]] std::vector<MachineCheck> check_compute();

}  // namespace gauntlet::cli
