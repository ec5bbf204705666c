#include "cli/support/bench_served.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "cli/support/submission.hpp"
#include "core/base/files.hpp"
#include "core/base/program.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr Milliseconds kStartLimit{60'000};
constexpr Milliseconds kStopLimit{60'000};

}  // namespace

Result<ScratchFolder> ScratchFolder::make(const std::filesystem::path& parent) {
  GAUNTLET_CHECK_OK(make_directories(parent));
  std::string name = (parent / "bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return fail(system_error(errno, "make a folder in", parent));
  return ScratchFolder(name);
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<Served> Served::start(const std::filesystem::path& workdir, const std::vector<std::string>& options) {
  std::vector<std::string> command = {program_path().string(), "coordinator", "--workdir", workdir.string(),
                                      "--log-level",           "warn",        "--http",    "0"};
  command.insert(command.end(), options.begin(), options.end());
  GAUNTLET_TRY(ChildProcess child, ChildProcess::start({command, workdir / "coordinator.out", true}));
  const SteadyTime deadline = SteadyClock::now() + kStartLimit;
  for (;;) {
    const auto endpoint = client::find_coordinator(workdir);
    if (endpoint && client::Client::connect(*endpoint)) return Served(std::move(child), workdir, *endpoint);
    if (!child.is_running())
      return fail(ErrorCode::kInternal, "the coordinator ended: {}", child.last_words());
    if (SteadyClock::now() > deadline)
      return fail(ErrorCode::kTimedOut, "the coordinator did not start within {} s",
                  kStartLimit.count() / 1000);
    std::this_thread::sleep_for(Milliseconds(1));
  }
}

void Served::stop() {
  child_.signal(SIGTERM);
  child_.wait_or_kill(kStopLimit);
}

Result<double> submit_noops(const Served& served, const std::filesystem::path& folder,
                            const std::string& name, std::int64_t n_jobs) {
  const auto path = folder / (name + ".yaml");
  GAUNTLET_CHECK_OK(write_file_atomic(
      path, fmt::format("gauntlet: 1\nname: {}\nnoop: {{jobs: {}, ms: 0}}\n", name, n_jobs)));
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(path));
  GAUNTLET_TRY(client::Client client, client::Client::connect(served.endpoint()));
  const auto start = SteadyClock::now();
  GAUNTLET_CHECK_OK(submit_sweep(client, sweep, 0));
  return seconds_since(start);
}

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace gauntlet::cli
