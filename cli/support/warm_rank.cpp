#include "cli/support/warm_rank.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "core/proto/convert.hpp"
#include "worker/executor/wire.hpp"

namespace gauntlet::cli {
namespace {

using Steady = std::chrono::steady_clock;

double ms_since(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

/// A gauntlet-rank on the other end of a socket pair; ends with this object.
class RankProcess {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RankProcess>> start() {
    std::error_code error;
    const auto program =
        std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "gauntlet-rank";
    if (error || ::access(program.c_str(), X_OK) != 0) {
      return fail(ErrorCode::kNotFound, "{} is missing, and it is what starts; ./dev build makes it",
                  program.string());
    }
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
      return fail(ErrorCode::kIo, "no socket pair can be made: errno {}", errno);
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    std::string name = program.string(), option = "--fd", number = fmt::format("{}", ends[1]);
    char* arguments[] = {name.data(), option.data(), number.data(), nullptr};
    pid_t pid = -1;
    const int failed = ::posix_spawn(&pid, name.c_str(), nullptr, nullptr, arguments, environ);
    ::close(ends[1]);
    if (failed == 0) return std::unique_ptr<RankProcess>(new RankProcess(pid, ends[0]));
    ::close(ends[0]);
    return fail(ErrorCode::kIo, "{} cannot be started: errno {}", name, failed);
  }

  ~RankProcess() {
    ::close(fd_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RankProcess(const RankProcess&) = delete;
  RankProcess& operator=(const RankProcess&) = delete;

  [[nodiscard]] Status send(const proto::Frame& frame) { return wire_.send(frame); }
  /// Errors: kIo when the process has ended.
  [[nodiscard]] Result<proto::Frame> receive() {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, wire_.receive());
    if (!frame) return fail(ErrorCode::kIo, "gauntlet-rank ended in the middle of the measurement");
    return std::move(*frame);
  }

 private:
  RankProcess(pid_t pid, int fd) : pid_(pid), fd_(fd), wire_(fd) {}

  pid_t pid_;
  int fd_;
  worker::Wire wire_;
};

Result<proto::Frame> job_frame(const std::filesystem::path& folder, std::uint64_t number) {
  spec::JobSpec job;
  job.kind = spec::JobKind::kEncode;
  job.entry = "none";
  job.version = 1;
  job.config = {{"defense", Json::object()}, {"modality", "image"}, {"part", "query"}, {"source", "clean"}};
  job.seed = number;
  GAUNTLET_TRY(const std::string canonical, spec::canonical_text(job));
  GAUNTLET_TRY(const JobKey key, spec::key_of(job));
  proto::Frame frame;
  proto::RunAttempt& message = *frame.mutable_run_attempt();
  message.set_lease_id(number);
  message.set_key(proto::key_bytes(key));
  message.set_canonical(canonical);
  message.set_title("a job without its input");
  message.set_attempt(1);
  message.set_world(1);
  message.set_threads(1);
  message.set_workdir(folder.string());
  message.set_device("cpu");
  message.set_log((folder / fmt::format("{}.log", number)).string());
  return frame;
}

/// Milliseconds from telling a job to its first word; waits for its end.
Result<double> start_of_next(RankProcess& rank, const proto::Frame& job) {
  const auto told = Steady::now();
  GAUNTLET_CHECK_OK(rank.send(job));
  double first_word_ms = -1;
  while (true) {
    GAUNTLET_TRY(const proto::Frame frame, rank.receive());
    if (first_word_ms < 0) first_word_ms = ms_since(told);
    if (frame.has_attempt_ended()) return first_word_ms;
  }
}

}  // namespace

Result<Json> measure_warm_rank(const std::filesystem::path& folder) {
  constexpr std::uint64_t kJobs = 20;
  const auto started = Steady::now();
  GAUNTLET_TRY(const std::unique_ptr<RankProcess> rank, RankProcess::start());
  GAUNTLET_TRY(const proto::Frame ready, rank->receive());
  if (!ready.has_executor_ready())
    return fail(ErrorCode::kInternal, "gauntlet-rank did not say that it is ready");
  const double cold_ms = ms_since(started);
  std::vector<double> warm_ms;
  for (std::uint64_t number = 1; number <= kJobs; ++number) {
    GAUNTLET_TRY(const proto::Frame job, job_frame(folder, number));
    GAUNTLET_TRY(const double next_ms, start_of_next(*rank, job));
    warm_ms.push_back(next_ms);
  }
  std::ranges::nth_element(warm_ms, warm_ms.begin() + kJobs / 2);
  return Json{{"rank_cold_start_ms", cold_ms}, {"rank_warm_start_ms", warm_ms[kJobs / 2]}};
}

}  // namespace gauntlet::cli
