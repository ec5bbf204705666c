// Coordinator and agent of `gauntlet run`: children of the command, started, watched and started again when
// they die. A coordinator that already serves the work folder is joined instead, and its workers are used.
// Thread safety: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/support/child_process.hpp"
#include "coordinator/client/client.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

class LocalCluster {
 public:
  struct Options {
    std::filesystem::path workdir;
    std::filesystem::path database;  ///< "" = in the work folder
    std::int64_t cpus = 0;           ///< threads the agent offers; 0 = all
    double checkpoint_minutes = 5;   ///< between two checkpoints of a training
  };

  explicit LocalCluster(Options options) : options_(std::move(options)) {}

  /// A connection to the work folder's coordinator, started if none runs. Errors: what the coordinator says
  /// when it cannot start (kRefused, kIo, kNoSpace, kCorrupt), kTimedOut, kInterrupted.
  [[nodiscard]] Result<client::Client> connect();

  /// Sees to it that the agent runs once it has been asked for. Errors: what it says when it ends again and
  /// again.
  [[nodiscard]] Status tend_worker();
  void want_worker() { worker_wanted_ = true; }
  [[nodiscard]] bool has_worker() const { return worker_.process.has_value(); }
  [[nodiscard]] bool joined() const { return !coordinator_.process.has_value(); }

  /// Politely: attempts are interrupted and given back. Returns when the agent is gone.
  void stop_worker();
  void stop_coordinator();
  /// At once.
  void kill_worker();

 private:
  struct Child {
    std::optional<ChildProcess> process;
    int n_quick_ends = 0;  ///< ends in a row soon after a start
    SteadyTime started{};
    SteadyTime not_before{};
  };

  [[nodiscard]] Status tend_coordinator();
  [[nodiscard]] Status start(Child& child, std::string_view verb);
  /// A child that ended: when it may start again, or the error when it never will.
  [[nodiscard]] Status account(Child& child, std::string_view verb);

  Options options_;
  Child coordinator_;
  Child worker_;
  bool worker_wanted_ = false;
};

}  // namespace gauntlet::cli
