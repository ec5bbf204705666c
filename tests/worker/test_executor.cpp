// An executor whose jobs do what their config says, so that tests can see every way an attempt ends.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <stdexcept>

#include "worker/agent/introduction.hpp"
#include "worker/executor/executor_loop.hpp"
#include "worker/launch/rank_guard.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

void write_pid(const AttemptContext& attempt, const std::string& suffix, pid_t pid) {
  const fs::path folder = attempt.workdir / "pids";
  fs::create_directories(folder);
  const fs::path path = folder / fmt::format("{}.{}{}", attempt.lease.value, attempt.rank, suffix);
  std::ofstream(path.string() + ".part") << pid;
  fs::rename(path.string() + ".part", path);
}

void wait_for(const fs::path& file) {
  while (file.empty() || !fs::exists(file)) ::poll(nullptr, 0, 5);
}

[[noreturn]] void sleep_for_ever() {
  while (true) ::pause();
}

class TestRunner final : public JobRunner {
 public:
  [[nodiscard]] std::string program() const override { return "test_executor"; }
  [[nodiscard]] std::string environment() const override {
    return R"({"program":"test_executor","revision":"r1","versions":{"test":"1"}})";
  }

  [[nodiscard]] Result<AttemptResult> run(const AttemptContext& attempt, ProgressSink& progress) override {
    const Json& config = attempt.job.config;
    const bool mine = !config.contains("rank") || config["rank"] == attempt.rank;
    const std::string what = mine ? config.value("do", "rows") : "wait";
    const fs::path until = config.value("until", "");
    if (what == "fail") return fail(ErrorCode::kDiverged, "the loss became NaN in epoch {}", 3);
    if (what == "open_input") {
      GAUNTLET_TRY(const artifacts::Artifact input,
                   attempt.store.open(spec::JobKind::kEncode, attempt.job.inputs.at(0).key));
    }
    if (what == "throw") throw std::runtime_error("a library threw \xff");
    if (what == "throw_int") throw 42;
    if (what == "allocate") throw std::bad_alloc();
    if (what == "exit") ::_exit(3);
    if (what == "crash") crash(config);
    if (what == "chatter") chatter();
    if (what == "wait") wait(attempt, until);
    if (what == "save") return save(attempt);
    if (what == "spawn") spawn(attempt, until);
    if (what == "flood") flood(attempt, until);
    if (what == "spawn_deep") spawn_deep(attempt, until);
    if (what == "stubborn") {
      ::signal(SIGTERM, SIG_IGN);
      wait(attempt, until);
    }
    if (what == "boast") return boast();
    if (what == "epochs") epochs(attempt, progress, until);
    return rows(attempt);
  }

 private:
  static AttemptResult rows(const AttemptContext& attempt) {
    AttemptResult result;
    const auto add = [&](std::string name, double value) {
      result.rows.push_back({.metric = std::move(name), .value = value, .unit = "count", .n = 1});
    };
    add("pid", ::getpid());
    add("rank", attempt.rank);
    add("threads", attempt.threads);
    result.rows.back().per_query = {1.5F, -2.5F};
    if (attempt.world > 1) add("has_rendezvous", attempt.rendezvous.empty() ? 0 : 1);
    result.curves.push_back({"loss:total", "step", "value", {1, 2}, {0.5F, 0.25F}});
    result.manifest_hash = "m";
    return result;
  }

  /// More numbers than a report can carry.
  static AttemptResult boast() {
    AttemptResult result;
    result.rows.push_back({.metric = "map", .value = 1, .unit = "ratio", .n = 5'000'000});
    result.rows.back().per_query.assign(5'000'000, 0.5F);
    return result;
  }

  static void crash(const Json& config) {
    for (int line = 1; line <= 30; ++line) std::cout << "line " << line << '\n';
    std::cout << std::flush;
    std::cerr << "last words\n";
    ::raise(config.value("signal", SIGKILL));
  }

  static void chatter() {
    std::cout << "to stdout\n";
    std::fputs("by stdio\n", stdout);
    std::cerr << "to stderr\n";
  }

  /// 8 MB in lines.
  static void flood(const AttemptContext& attempt, const fs::path& until) {
    for (int line = 0; line < 500'000; ++line) std::cout << fmt::format("line {:010}\n", line);
    std::cout << "flooded" << std::endl;
    wait(attempt, until);
  }

  static void wait(const AttemptContext& attempt, const fs::path& until) {
    write_pid(attempt, "", ::getpid());
    wait_for(until);
  }

  /// A training that saves and stops when asked to.
  static Result<AttemptResult> save(const AttemptContext& attempt) {
    write_pid(attempt, "", ::getpid());
    while (!attempt.stop->load()) ::poll(nullptr, 0, 5);
    return fail(ErrorCode::kInterrupted, "asked to stop: saved after epoch 2 of 5");
  }

  static void spawn(const AttemptContext& attempt, const fs::path& until) {
    const pid_t child = ::fork();
    if (child == 0) sleep_for_ever();
    write_pid(attempt, ".child", child);
    wait(attempt, until);
  }

  /// A child in the group, and its child in a session of its own; none of the three ends when asked to.
  static void spawn_deep(const AttemptContext& attempt, const fs::path& until) {
    ::signal(SIGTERM, SIG_IGN);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::fork() == 0) {
        ::setsid();
        write_pid(attempt, ".grandchild", ::getpid());
        sleep_for_ever();
      }
      sleep_for_ever();
    }
    write_pid(attempt, ".child", child);
    wait(attempt, until);
  }

  static void epochs(const AttemptContext& attempt, ProgressSink& progress, const fs::path& until) {
    progress.update(
        {.epoch = 2, .epochs = 5, .fraction = 0.4, .rate = 10, .losses = {{"total", 0.5}}, .phase = "epoch"});
    wait(attempt, until);
  }
};

/// The guard that a launcher starts, as `gauntlet rank-guard`. Rank GAUNTLET_TEST_STRANGER knows another
/// version of an entry than the rest.
int guard(int argc, char** argv) {
  GuardOptions options;
  for (int at = 2; at + 1 < argc; at += 2) {
    const std::string name = argv[at];
    if (name == "--launcher") options.launcher = argv[at + 1];
    if (name == "--connect-host") options.host = argv[at + 1];
    if (name == "--connect-port") options.port = argv[at + 1];
    if (name == "--agent-node") options.node = argv[at + 1];
    if (name == "--program") options.executor.program = argv[at + 1];
  }
  options.patience_s = 2;
  options.entries = known_entries();
  const char* const stranger = std::getenv("GAUNTLET_TEST_STRANGER");
  const char* const number =
      std::getenv(options.launcher == "srun" ? "SLURM_PROCID" : "OMPI_COMM_WORLD_RANK");
  if (stranger != nullptr && number != nullptr && std::string(stranger) == number)
    options.entries.front().set_version(options.entries.front().version() + 1);
  const Result<int> ended = run_rank_guard(options);
  if (ended) return *ended;
  std::cerr << ended.error().message << std::endl;
  return 1;
}

}  // namespace
}  // namespace gauntlet::worker

int main(int argc, char** argv) {
  if (argc > 2 && std::string(argv[1]) == "rank-guard") return gauntlet::worker::guard(argc, argv);
  if (argc < 3 || std::string(argv[argc - 2]) != "--fd") return 2;
  gauntlet::worker::TestRunner runner;
  const int fd = std::atoi(argv[argc - 1]);
  if (argc < 5 || std::string(argv[argc - 4]) != "--board") return gauntlet::worker::run_executor(fd, runner);
  return gauntlet::worker::run_executor({fd, std::atoi(argv[argc - 3])}, runner);
}
