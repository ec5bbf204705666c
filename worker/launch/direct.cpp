// The agent forks the ranks itself, on its own machine, and keeps them warm.
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {
namespace {

Result<std::string> reach(const LauncherSettings&) { return std::string(); }

std::string node_name(const std::string& address) { return address; }

Result<std::unique_ptr<Seat>> take_seat() {
  return fail(ErrorCode::kInvalid, "the direct launcher starts no guards");
}

}  // namespace

extern const Launcher direct_launcher;
constinit const Launcher direct_launcher{.name = "direct",
                                         .summary = "fork ranks on this machine",
                                         .reach = &reach,
                                         .node_name = &node_name,
                                         .command = nullptr,
                                         .take_seat = &take_seat};

}  // namespace gauntlet::worker
