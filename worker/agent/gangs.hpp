// What a launcher is asked to start for one lease. Thread safety: plain functions and values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/protocol.pb.h"
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {

/// How a worker starts gangs.
struct GangSettings {
  const Launcher* launcher = find_launcher("direct");
  LauncherSettings settings;
  std::string address;  ///< how other machines reach this one
  Command guard;        ///< starts a guard on any machine
  std::vector<proto::EntryVersion> entries;
};

/// Ranks of the lease's gang: one for every GPU, or as many as it asks for.
[[nodiscard]] std::size_t world_of(const proto::Lease& lease);

struct GangPlan {
  GangLayout layout;
  std::vector<std::optional<std::uint32_t>> gpus;  ///< of each rank, as its machine counts them
};
/// A lease that names no machines is for this one alone.
[[nodiscard]] GangPlan plan_gang(const proto::Lease& lease, const GangSettings& settings,
                                 std::filesystem::path host_file);

/// What ranks elsewhere print goes into the attempt's log; a log that cannot be written is no reason to
/// disturb the attempt.
void append_to_log(const std::filesystem::path& log, std::string_view text);

}  // namespace gauntlet::worker
