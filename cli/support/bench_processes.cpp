#include "cli/support/bench_processes.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <vector>

#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/submission.hpp"
#include "cli/support/sweep_wait.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"
#include "worker/agent/machine.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Milliseconds kLimit{600'000};
constexpr Milliseconds kStopLimit{30'000};
constexpr Milliseconds kLook{20};  ///< between two questions whether a sweep is over
constexpr int kWarmUp = 50;        ///< jobs until executors run

/// Starts `true` and waits for it, so many times. False: it does not start.
bool spawn_in_turn(std::int64_t n_processes) {
  char name[] = "true";
  char* const words[] = {name, nullptr};
  for (std::int64_t at = 0; at < n_processes; ++at) {
    pid_t pid = 0;
    if (::posix_spawnp(&pid, name, nullptr, nullptr, words, environ) != 0) return false;
    if (::waitpid(pid, nullptr, 0) != pid) return false;
  }
  return true;
}

/// Seconds for `n_processes` between all processors.
Result<double> spawn_bare(std::int64_t n_processes, std::int64_t n_cpus) {
  std::atomic<bool> works{true};
  const auto start = SteadyClock::now();
  std::vector<std::thread> threads;
  for (std::int64_t cpu = 0; cpu < n_cpus; ++cpu) {
    threads.emplace_back([&, n = n_processes / n_cpus] {
      if (!spawn_in_turn(n)) works = false;
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (!works) return fail(ErrorCode::kIo, "the program 'true' cannot be started");
  return seconds_since(start);
}

/// A worker on the coordinator's folder.
Result<ChildProcess> start_worker(const std::filesystem::path& workdir) {
  return ChildProcess::start({{program_path().string(), "worker", "--workdir", workdir.string(), "--no-gpus",
                               "--drain-grace", "0", "--log-level", "error"},
                              workdir / "worker.out",
                              true});
}

/// Seconds from the submission of so many jobs until the last result is on disk. The program gets the name as
/// an argument, which makes them other jobs than those of any other name.
Result<double> run_jobs(const Served& served, const std::filesystem::path& folder, const std::string& name,
                        std::int64_t n_jobs) {
  const auto path = folder / (name + ".yaml");
  GAUNTLET_CHECK_OK(write_file_atomic(
      path, fmt::format("gauntlet: 1\nname: {0}\ncommand: {{jobs: {1}, run: [\"true\", \"{0}\"]}}\n", name,
                        n_jobs)));
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(path));
  GAUNTLET_TRY(client::Client client, client::Client::connect(served.endpoint()));
  const auto start = SteadyClock::now();
  GAUNTLET_TRY(const proto::SubmitReply reply, submit_sweep(client, sweep, 0));
  if (reply.reused_jobs() > 0)
    return fail(ErrorCode::kInternal, "{} jobs of {} were there before", reply.reused_jobs(), name);
  while (true) {
    GAUNTLET_TRY(const proto::StatusReply status, request_status(client, reply.sweep_id()));
    GAUNTLET_TRY(const proto::SweepStatus seen, sweep_in(status, reply.sweep_id()));
    if (is_over(seen)) {
      GAUNTLET_CHECK_OK(verdict_of(seen));
      return seconds_since(start);
    }
    if (SteadyClock::now() - start > kLimit)
      return fail(ErrorCode::kTimedOut, "{} processes did not end within {} s", n_jobs,
                  kLimit.count() / 1000);
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace

Result<Json> measure_processes(const std::filesystem::path& folder, std::int64_t n_jobs) {
  const std::int64_t n_cpus = worker::usable_cpus();
  const auto workdir = folder / "processes";
  GAUNTLET_CHECK_OK(make_directories(workdir));
  GAUNTLET_TRY(const double before, spawn_bare(n_jobs / 2, n_cpus));
  GAUNTLET_TRY(Served served, Served::start(workdir));
  GAUNTLET_TRY(ChildProcess worker, start_worker(workdir));
  const Result<double> warm = run_jobs(served, folder, "warm-up", kWarmUp);
  const Result<double> seconds = warm ? run_jobs(served, folder, "processes", n_jobs) : warm;
  worker.signal(SIGTERM);
  worker.wait_or_kill(kStopLimit);
  served.stop();
  if (!seconds) return fail(seconds.error());
  GAUNTLET_TRY(const double after, spawn_bare(n_jobs / 2, n_cpus));
  const double jobs_per_s = static_cast<double>(n_jobs) / *seconds;
  const double spawns_per_s = static_cast<double>(n_jobs / 2 / n_cpus * n_cpus * 2) / (before + after);
  return Json{{"process_jobs_per_s", jobs_per_s},
              {"spawns_per_s", spawns_per_s},
              {"process_ratio_percent", 100 * jobs_per_s / spawns_per_s}};
}

}  // namespace gauntlet::cli
