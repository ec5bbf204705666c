#include "cli/support/alloc_run.hpp"

#include <unistd.h>

#include <charconv>
#include <optional>

#include "cli/support/interrupt.hpp"
#include "cli/support/output.hpp"
#include "coordinator/net/batch_commands.hpp"
#include "coordinator/net/workdir.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using alloc::shell_quoted;

constexpr Milliseconds kLook{200};     ///< between two looks at what the run inside has printed
constexpr Milliseconds kList{10'000};  ///< between two questions to the batch system
constexpr int kMaxMisses = 2;
constexpr int kMaxListFailures = 30;

/// The files through which the job speaks, all beside its script.
struct Paths {
  fs::path script, log, out, err, code;
};

Paths paths_of(const fs::path& workdir, const std::string& name) {
  const fs::path stem = workdir / "alloc" / name;
  const auto with = [&](const char* extension) { return fs::path(stem.string() + extension); };
  return {with(".sh"), with(".log"), with(".out"), with(".err"), with(".code")};
}

/// Shell lines: a coordinator, the agents, the run as a client of it; its exit code lies in a file at the
/// end. The address is waited for, so that the run does not start a coordinator of its own.
std::string body_of(const AllocRun& run, const fs::path& program, const Paths& paths) {
  const std::string gauntlet = shell_quoted(program.string());
  const std::string workdir = shell_quoted(run.workdir.string());
  const std::string reach = run.allocation.nodes > 1 ? " --bind 0.0.0.0 --tls" : "";
  std::string words;
  for (const std::string& word : run.run) words += " " + shell_quoted(word);
  return fmt::format(
      "{0} coordinator --workdir {1}{2} &\n"
      "coordinator=$!\n"
      "until {0} status --workdir {1} >/dev/null 2>&1; do\n"
      "  kill -0 $coordinator || exit 1\n"
      "  sleep 0.2\n"
      "done\n"
      "agents &\n"
      "{0} run{3} --workdir {1} --no-worker >{4} 2>{5}\n"
      "echo $? >{6}.new && mv {6}.new {6}\n"
      "{0} coordinator --workdir {1} --stop\n"
      "kill %2 2>/dev/null\n"
      "wait\n",
      gauntlet, workdir, reach, words, shell_quoted(paths.out.string()), shell_quoted(paths.err.string()),
      shell_quoted(paths.code.string()));
}

/// Shows what the run inside says, line by line.
class Relay {
 public:
  explicit Relay(fs::path path) : path_(std::move(path)) {}
  void show() {
    const Result<std::string> text = read_file(path_);
    if (!text || text->size() <= n_shown_) return;
    const std::size_t end = text->rfind('\n');
    if (end == std::string::npos || end < n_shown_) return;
    note(std::string_view(*text).substr(n_shown_, end + 1 - n_shown_));
    n_shown_ = end + 1;
  }

 private:
  fs::path path_;
  std::size_t n_shown_ = 0;
};

/// What the batch system says of the job, asked for now and then.
class Watch {
 public:
  Watch(const alloc::BatchSystem& system, std::string id) : system_(system), id_(std::move(id)) {}

  /// Why the job is over; nothing while it may still be there. Errors: the batch system has not answered for
  /// long.
  Result<std::optional<std::string>> look() {
    const SteadyTime now = clock_.now();
    if (now < next_) return std::optional<std::string>();
    next_ = now + kList;
    const std::vector<std::string> ids{id_};
    const auto jobs = coordinator::list_jobs(std::string(system_.name), ids);
    if (!jobs) {
      if (++n_failures_ < kMaxListFailures) return std::optional<std::string>();
      return fail(jobs.error().code, "job {} cannot be watched any more: {}", id_, jobs.error().message);
    }
    n_failures_ = 0;
    for (const alloc::BatchJob& job : *jobs) {
      if (job.id == id_) return judge(job);
    }
    if (++n_misses_ < kMaxMisses) return std::optional<std::string>();
    return std::optional<std::string>("it is no longer known");
  }

 private:
  std::optional<std::string> judge(const alloc::BatchJob& job) {
    n_misses_ = 0;
    const std::string words = job.reason.empty() ? job.word : fmt::format("{} ({})", job.word, job.reason);
    if (job.state == alloc::BatchJobState::kEnded) return words;
    if (words != said_) note(fmt::format("gauntlet: job {}: {}\n", id_, words));
    said_ = words;
    return std::nullopt;
  }

  const alloc::BatchSystem& system_;
  std::string id_;
  const SystemClock clock_;
  SteadyTime next_{};
  int n_failures_ = 0;
  int n_misses_ = 0;
  std::string said_;
};

std::optional<int> exit_code_in(const fs::path& path) {
  const Result<std::string> text = read_file(path, 64);
  int code = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), code).ec != std::errc{})
    return std::nullopt;
  return code;
}

Result<int> follow(const AllocRun& run, const alloc::BatchSystem& system, const std::string& id,
                   const Paths& paths) {
  Relay progress(paths.err);
  Watch watch(system, id);
  while (true) {
    progress.show();
    if (const std::optional<int> code = exit_code_in(paths.code)) {
      progress.show();
      GAUNTLET_TRY(const std::string out, read_file(paths.out));
      GAUNTLET_CHECK_OK(print(out));
      return *code;
    }
    if (n_interrupts() > 0) {
      return fail(ErrorCode::kInterrupted, "{} job {} goes on without this command; `{} {}` ends it",
                  system.title, id, system.canceller, id);
    }
    GAUNTLET_TRY(const std::optional<std::string> over, watch.look());
    if (over && !exit_code_in(paths.code)) {
      return fail(
          over->starts_with("TIMEOUT") ? ErrorCode::kTimedOut : ErrorCode::kProcessDied,
          "{} job {} is over before the sweep is: {}; its log is {}; everything finished is kept, go on "
          "with: {}",
          system.title, id, *over, paths.log.string(), run.again);
    }
    pause_for(kLook);
  }
}

}  // namespace

Result<int> run_in_allocation(const AllocRun& run) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(run.allocation.system));
  if (const std::optional<std::string> holder = coordinator::holder_of_workdir(run.workdir)) {
    return fail(ErrorCode::kRefused,
                "{} is in use already ({}); `gauntlet submit` hands the sweep to the coordinator there",
                run.workdir.string(), *holder);
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const std::string name = fmt::format("gauntlet-run-{}-{:x}", ::getpid(), SystemClock().wall_ms() / 1000);
  const Paths paths = paths_of(run.workdir, name);
  const alloc::ScriptSite site{
      .gauntlet = program, .workdir = run.workdir, .log = paths.log, .name = name, .label = ""};
  const std::string script = system->script(run.allocation, site, body_of(run, program, paths));
  GAUNTLET_CHECK_OK(coordinator::try_submission(run.allocation, paths.script, script));
  GAUNTLET_TRY(const std::string id, coordinator::submit_script(run.allocation, paths.script, script));
  note(fmt::format("gauntlet: {} job {}; its log is {}\n", system->title, id, paths.log.string()));
  return follow(run, *system, id, paths);
}

}  // namespace gauntlet::cli
