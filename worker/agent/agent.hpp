// The worker agent: one process per machine. It joins a coordinator, takes leases, runs them in executor
// processes, sends heartbeats and reports, and outlives both its executors and its coordinator.
//
// One thread runs everything (an asio io_context); what computes lives in child processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/tls/trust.hpp"
#include "worker/agent/machine.hpp"
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {

struct AgentOptions {
  std::filesystem::path
      workdir;       ///< artifacts and logs; also where the coordinator is found when `host` is ""
  std::string host;  ///< "" = read coordinator.json of the work folder before every connection
  std::uint16_t port = 0;
  std::string token;           ///< "" = read the work folder's token file
  tls::Trust trust;            ///< not set = plain, or by the fingerprint in coordinator.json
  std::string name;            ///< "" = host name
  std::int64_t cpus = 0;       ///< threads to offer; 0 = the processors this process may use
  std::int64_t memory_mb = 0;  ///< 0 = physical memory
  std::vector<AgentGpu> gpus;
  std::int64_t log_limit_mb = 64;  ///< MiB a running attempt's log may occupy; then its middle goes
  double drain_grace_s = 30;       ///< what attempts get to end by themselves after SIGTERM
  std::vector<NumaNode> numa_nodes;
  std::map<std::string, std::string> labels;  ///< jobs may ask for them
  std::int64_t lifetime_s = 0;  ///< it leaves after so long, and takes no job that may last longer; 0 = stays
  std::uint32_t credit = 512;   ///< most leases in hand at once; only jobs that need no cpu come close to it
  std::filesystem::path
      gauntlet_program;  ///< started as `<program> executor ... --fd N`; "" = gauntlet beside this program
  std::filesystem::path
      rank_program;  ///< started as `<program> --fd N`; "" = gauntlet-rank beside this program
  std::filesystem::path system_root = "/";  ///< where /proc and /sys are; another one in tests
  std::string launcher = "direct";          ///< of gangs: a name from launchers.def
  LauncherSettings launcher_settings;
  std::string address;            ///< how other machines reach this one; "" = its host name
  double checkpoint_minutes = 5;  ///< between two checkpoints of a training; 0 = after every epoch
  /// MiB of artifacts kept here where the coordinator's work folder is another one; 0 = any number.
  std::int64_t artifact_cache_mb = 0;
  /// Leave when no coordinator has been reached for that many seconds; empty = try for ever.
  std::optional<double> exit_with_coordinator_s;
};

/// Works until it is asked to leave: by SIGTERM or SIGINT (no new leases; attempts have drain_grace_s to end,
/// then they are stopped and reported as interrupted; a second signal ends everything at once), by the
/// coordinator (attempts finish first), or by exit_with_coordinator_s. Returns the process exit code: 0, or
/// 130 after a second signal. Errors: kRefused (wrong token, another protocol), kInvalid (an option), kIo,
/// kUnreachable (no coordinator within exit_with_coordinator_s, ever). Logs through spdlog's default logger.
[[nodiscard]] Result<int> run_agent(const AgentOptions& options);

}  // namespace gauntlet::worker
