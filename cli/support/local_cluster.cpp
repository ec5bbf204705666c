#include "cli/support/local_cluster.hpp"

#include <csignal>

#include "cli/support/interrupt.hpp"
#include "coordinator/net/workdir.hpp"
#include "core/base/program.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kConnectLimit{60'000};  ///< long enough for a machine that is busy with other things
constexpr Milliseconds kHelloLimit{2'000};
constexpr Milliseconds kStopLimit{20'000};   ///< for the agent: its attempts have to end
constexpr Milliseconds kCloseLimit{10'000};  ///< for the coordinator
constexpr Milliseconds kQuickEnd{10'000};    ///< a child that lives longer starts with a clean slate
constexpr int kMaxQuickEnds = 6;
constexpr int kMaxRefusals = 4;
constexpr Milliseconds kRefusalPause{200};

const SystemClock kClock;

ErrorCode code_of_exit(int exit_code) {
  if (exit_code == exit_code_of(ErrorCode::kRefused)) return ErrorCode::kRefused;
  if (exit_code == exit_code_of(ErrorCode::kInvalid)) return ErrorCode::kInvalid;
  if (exit_code == exit_code_of(ErrorCode::kNotFound)) return ErrorCode::kNotFound;
  if (exit_code == exit_code_of(ErrorCode::kUnreachable)) return ErrorCode::kUnreachable;
  return ErrorCode::kIo;
}

}  // namespace

Status LocalCluster::start(Child& child, std::string_view verb) {
  ChildProcess::Options options;
  options.command = {program_path().string(), std::string(verb), "--workdir", options_.workdir.string()};
  if (verb == "coordinator") {
    for (const char* word : {"--port", "0", "--exit-when-unused"}) options.command.emplace_back(word);
    if (!options_.database.empty()) {
      options.command.emplace_back("--database");
      options.command.push_back(options_.database.string());
    }
  } else {
    options.dies_with_parent = true;
    options.command.insert(options.command.end(), {"--exit-without-coordinator", "30", "--drain-grace", "0"});
    options.command.insert(options.command.end(),
                           {"--checkpoint-minutes", fmt::format("{}", options_.checkpoint_minutes)});
    if (options_.cpus > 0) {
      options.command.emplace_back("--cpus");
      options.command.push_back(fmt::format("{}", options_.cpus));
    }
  }
  options.log = options_.workdir / "logs" / fmt::format("{}.log", verb);
  GAUNTLET_TRY(ChildProcess process, ChildProcess::start(options));
  child.process.emplace(std::move(process));
  child.started = kClock.now();
  return {};
}

Status LocalCluster::account(Child& child, std::string_view verb) {
  const SteadyTime now = kClock.now();
  if (now - child.started > kQuickEnd) child.n_quick_ends = 0;
  ++child.n_quick_ends;
  const std::string words = child.process->last_words();
  const int exit_code = child.process->exit_code();
  const bool refused = !child.process->was_killed() && exit_code != 0;
  child.process.reset();
  if (refused && !words.empty()) return fail(code_of_exit(exit_code), "{}", words);
  if (child.n_quick_ends >= kMaxQuickEnds) {
    return fail(ErrorCode::kProcessDied, "the {} ended {} times in a row (exit code {}); its log is {}", verb,
                child.n_quick_ends, exit_code,
                (options_.workdir / "logs" / fmt::format("{}.log", verb)).string());
  }
  const int doublings = std::min(child.n_quick_ends - 1, 5);
  child.not_before = now + Milliseconds(child.n_quick_ends == 1 ? 0 : 100 << doublings);
  return {};
}

Status LocalCluster::tend_coordinator() {
  if (coordinator_.process) {
    if (coordinator_.process->is_running()) return {};
    GAUNTLET_CHECK_OK(account(coordinator_, "coordinator"));
  }
  if (kClock.now() < coordinator_.not_before) return {};
  return start(coordinator_, "coordinator");
}

Result<client::Client> LocalCluster::connect() {
  const SteadyTime deadline = kClock.now() + kConnectLimit;
  while (true) {
    Result<client::Client> client = client::Client::connect(options_.workdir, kHelloLimit);
    if (client) return client;
    if (n_interrupts() > 0)
      return fail(ErrorCode::kInterrupted, "interrupted before the coordinator answered");
    if (kClock.now() > deadline) {
      return fail(client.error().code, "no coordinator answered within {}: {}",
                  human_duration(static_cast<double>(kConnectLimit.count()) / 1000), client.error().message);
    }
    const Status tended = tend_coordinator();
    if (!tended) {
      // The lock may be held by a coordinator that is just starting or ending: look again before giving up.
      const bool look_again = tended.error().code == ErrorCode::kRefused &&
                              coordinator_.n_quick_ends < kMaxRefusals &&
                              coordinator::holder_of_workdir(options_.workdir).has_value();
      if (!look_again)
        return fail(client.error().code == ErrorCode::kRefused ? client.error() : tended.error());
      coordinator_.not_before = kClock.now() + kRefusalPause;
    }
    pause_for(Milliseconds(3));
  }
}

Status LocalCluster::tend_worker() {
  if (!worker_wanted_) return {};
  if (worker_.process) {
    if (worker_.process->is_running()) return {};
    GAUNTLET_CHECK_OK(account(worker_, "worker"));
  }
  if (kClock.now() < worker_.not_before) return {};
  return start(worker_, "worker");
}

void LocalCluster::stop_worker() {
  worker_wanted_ = false;
  if (!worker_.process) return;
  worker_.process->signal(SIGTERM);
  const SteadyTime deadline = kClock.now() + kStopLimit;
  const int before = n_interrupts();
  while (worker_.process->is_running() && kClock.now() < deadline && n_interrupts() == before) {
    pause_for(Milliseconds(2));
  }
  kill_worker();
}

void LocalCluster::kill_worker() {
  worker_wanted_ = false;
  if (worker_.process) worker_.process->kill();
  worker_.process.reset();
}

void LocalCluster::stop_coordinator() {
  if (!coordinator_.process) return;
  coordinator_.process->signal(SIGTERM);
  coordinator_.process->wait_or_kill(kCloseLimit);
  coordinator_.process.reset();
}

}  // namespace gauntlet::cli
