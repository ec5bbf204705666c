// What a machine must offer to run sweeps, one check at a time.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace gauntlet::cli {

struct MachineCheck {
  std::string name;
  bool ok = true;
  std::string detail;  ///< what was found and, when it is not ok, what helps
  Json facts = Json::object();
};

/// Nothing is changed but for a probe file, removed again, in the work folder.
[[nodiscard]] std::vector<MachineCheck> check_machine(const std::filesystem::path& workdir,
                                                      const std::filesystem::path& database);

/// The file system of the work folder and how long a small synced write takes there.
[[nodiscard]] std::vector<MachineCheck> check_disk(const std::filesystem::path& workdir);

}  // namespace gauntlet::cli
