#include "worker/executor/executor.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <mutex>
#include <new>
#include <optional>
#include <tuple>

#include "core/proto/convert.hpp"
#include "worker/executor/attempt_board.hpp"
#include "worker/executor/attempt_record.hpp"
#include "worker/executor/executor_loop.hpp"
#include "worker/executor/outcome.hpp"
#include "worker/executor/wire.hpp"

namespace gauntlet::worker {
namespace {

using Steady = std::chrono::steady_clock;

/// Whether the running attempt is asked to stop; a process has one attempt at a time.
std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // a signal sets it

void listen_for_stop() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked.store(true); };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
}

constexpr auto kProgressInterval = std::chrono::milliseconds(200);

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

/// With what a launched rank has to know besides; see core/collective/rendezvous.hpp.
std::string rendezvous_of(const proto::RunAttempt& message) {
  if (message.interface().empty()) return message.rendezvous();
  std::string text = fmt::format("{}?interface={}", message.rendezvous(), message.interface());
  if (message.rendezvous_fd() > 0) text += fmt::format("&fd={}", message.rendezvous_fd());
  return text;
}

/// Inputs of which no artifact is there: never made, lost, or damaged and so set aside when they were opened.
std::vector<JobKey> missing_inputs(const AttemptContext& attempt) {
  std::vector<JobKey> missing;
  for (const spec::JobInput& input : attempt.job.inputs) {
    bool found = false;
    for (int kind = 0; kind < spec::kJobKindCount && !found; ++kind) {
      found = attempt.store.contains(static_cast<spec::JobKind>(kind), input.key);
    }
    if (!found) missing.push_back(input.key);
  }
  return missing;
}

/// Whether an attempt of the job may end without having told anything: its log begins with its first word.
bool may_stay_silent(const spec::JobSpec& job) {
  return job.kind == spec::JobKind::kCommand && job.entry.empty();
}

/// Sends what a runner tells, but not more often than anybody looks.
class WireProgress final : public ProgressSink {
 public:
  WireProgress(Wire& wire, LeaseId lease, AttemptRecord& record)
      : wire_(wire), lease_(lease), record_(record) {}

  void update(const Progress& progress) override {
    record_.progressed(progress);
    const std::lock_guard lock(mutex_);
    const auto now = Steady::now();
    if (sent_ && now - *sent_ < kProgressInterval && progress.phase == phase_) return;
    sent_ = now;
    phase_ = progress.phase;
    proto::Frame frame;
    proto::AttemptProgress& message = *frame.mutable_attempt_progress();
    message.set_lease_id(lease_.value);
    message.set_epoch(progress.epoch);
    message.set_epochs(progress.epochs);
    message.set_fraction(progress.fraction);
    message.set_rate(progress.rate);
    message.set_phase(valid_utf8(progress.phase));
    for (const auto& [name, value] : progress.losses) (*message.mutable_losses())[valid_utf8(name)] = value;
    // An agent that does not listen any more ends this process; until then there is nobody to tell.
    static_cast<void>(wire_.send(frame));
  }

 private:
  Wire& wire_;
  LeaseId lease_;
  AttemptRecord& record_;
  std::mutex mutex_;
  std::optional<Steady::time_point> sent_;
  std::string phase_;
};

class Executor {
 public:
  Executor(int fd, JobRunner& runner, AttemptBoard* board)
      : wire_(fd),
        board_(board),
        runner_(runner),
        environment_(runner.environment()),
        about_(parse_json(environment_, "environment").value_or(Json())),
        provenance_(provenance_in(about_)) {}

  [[nodiscard]] Status serve() {
    GAUNTLET_CHECK_OK(announce());
    while (true) {
      GAUNTLET_TRY(const std::optional<proto::Frame> frame, wire_.receive());
      if (!frame || frame->has_executor_stop()) return {};
      if (!frame->has_run_attempt()) {
        return fail(ErrorCode::kInvalid, "the agent sent {}, which an executor does not understand",
                    proto::name_of(frame->body_case()));
      }
      const std::uint64_t lease = frame->run_attempt().lease_id();
      if (board_ != nullptr && !board_->take(lease)) continue;  // the agent has taken it back
      proto::Frame answer;
      answer.mutable_attempt_ended()->set_lease_id(lease);
      *answer.mutable_attempt_ended()->mutable_outcome() = attempt(frame->run_attempt());
      GAUNTLET_CHECK_OK(wire_.send(answer));
    }
  }

 private:
  [[nodiscard]] Status announce() {
    proto::Frame frame;
    frame.mutable_executor_ready()->set_program(runner_.program());
    frame.mutable_executor_ready()->set_pid(::getpid());
    frame.mutable_executor_ready()->set_environment(environment_);
    return wire_.send(frame);
  }

  /// Which code makes artifacts here, out of the environment.
  [[nodiscard]] static artifacts::Provenance provenance_in(const Json& about) {
    if (!about.is_object()) return {};
    return {about.value("revision", std::string()), about.value("versions", Json::object())};
  }

  /// The environment of attempts like this one; a process has one after another of them.
  [[nodiscard]] const std::string& environment_of(const AttemptContext& attempt) {
    const auto like = std::tuple(attempt.world, attempt.threads, attempt.device);
    if (like == environment_like_) return environment_text_;
    environment_like_ = like;
    environment_text_ = environment_;
    if (!about_.is_object()) return environment_text_;
    Json about = about_;
    about["world"] = attempt.world;
    about["threads"] = attempt.threads;
    about["device"] = attempt.device;
    if (Result<std::string> text = canonical_json(about)) environment_text_ = std::move(*text);
    return environment_text_;
  }

  [[nodiscard]] Result<AttemptContext> context_of(const proto::RunAttempt& message) const {
    GAUNTLET_TRY(const Json form, parse_json(message.canonical(), "the job"));
    AttemptContext attempt;
    GAUNTLET_TRY(attempt.job, spec::job_from_canonical(form));
    GAUNTLET_TRY(attempt.key, proto::key_from_bytes(message.key()));
    if (!message.locations().empty()) {
      GAUNTLET_TRY(attempt.job.locations, parse_json(message.locations(), "the job's locations"));
    }
    attempt.job.title = message.title();
    attempt.lease = LeaseId{message.lease_id()};
    attempt.attempt = AttemptNo{message.attempt()};
    attempt.workdir = message.workdir();
    attempt.log = message.log();
    attempt.rendezvous = rendezvous_of(message);
    attempt.device = message.device();
    attempt.rank = static_cast<int>(message.rank());
    attempt.world = std::max(1, static_cast<int>(message.world()));
    attempt.threads = std::max(1, static_cast<int>(message.threads()));
    attempt.store = artifacts::ArtifactStore(attempt.workdir, provenance_);
    if (message.has_checkpoint_minutes()) attempt.checkpoint_minutes = message.checkpoint_minutes();
    attempt.stop = &stop_asked;
    return attempt;
  }

  [[nodiscard]] proto::Outcome attempt(const proto::RunAttempt& message) {
    const auto start = Steady::now();
    stop_asked.store(false);
    const Result<AttemptContext> context = context_of(message);
    proto::Outcome outcome = context ? attempt(*context) : outcome_of(context.error());
    outcome.set_wall_s(seconds_since(start));
    return outcome;
  }

  [[nodiscard]] proto::Outcome attempt(const AttemptContext& context) {
    const Result<AttemptResult> result = run_with_log(context);
    if (result) {
      proto::Outcome outcome = outcome_of(*result);
      if (const Status fits = check_size(outcome); !fits) return outcome_of(fits.error());
      return outcome;
    }
    Error error = result.error();
    std::vector<JobKey> missing;
    if (error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kNotFound)
      missing = missing_inputs(context);
    if (!missing.empty()) error.code = ErrorCode::kCorrupt;  // they are made again; then this job can succeed
    proto::Outcome outcome = outcome_of(error);
    for (const JobKey& key : missing) outcome.add_damaged_inputs(proto::key_bytes(key));
    return outcome;
  }

  [[nodiscard]] Result<AttemptResult> run_with_log(const AttemptContext& context) {
    AttemptRecord record(context, runner_.program());
    const bool speaks = !context.log.empty() && !may_stay_silent(context.job);
    if (speaks) GAUNTLET_CHECK_OK(record.open());
    WireProgress progress(wire_, context.lease, record);
    if (speaks) progress.update({.phase = "start"});
    Result<AttemptResult> result = run(context, progress);
    record.ended(result);
    GAUNTLET_CHECK_OK(record.opened());
    return result;
  }

  /// The boundary where what libraries throw becomes an error of this attempt.
  [[nodiscard]] Result<AttemptResult> run(const AttemptContext& context, WireProgress& progress) {
    try {
      Result<AttemptResult> result = runner_.run(context, progress);
      if (result && result->environment.empty()) result->environment = environment_of(context);
      return result;
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kOutOfMemory, "{}: out of memory", context.job.title);
    } catch (const std::exception& thrown) {
      return fail(cause_of_exception(thrown.what()), "{}: {}", context.job.title, thrown.what());
    } catch (...) {
      return fail(ErrorCode::kInternal, "{}: something that is no std::exception was thrown",
                  context.job.title);
    }
  }

  Wire wire_;
  AttemptBoard* board_;  ///< null: every attempt it is told of is run
  JobRunner& runner_;
  const std::string environment_;
  const Json about_;  ///< the same, parsed; null when it is no JSON
  const artifacts::Provenance provenance_;
  std::tuple<int, int, std::string> environment_like_;  ///< world, threads, device of the text below
  std::string environment_text_;
};

int serve(int fd, JobRunner& runner, AttemptBoard* board) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an agent gone before this line shows as the end of the stream
  listen_for_stop();
  try {
    const Status served = Executor(fd, runner, board).serve();
    if (served) return 0;
    std::cerr << fmt::format("{}: {}\n", runner.program(), served.error().message);
  } catch (const std::exception& thrown) {
    std::cerr << fmt::format("{}: {}\n", runner.program(), thrown.what());
  }
  return 1;
}

}  // namespace

int run_executor(int fd, JobRunner& runner) { return serve(fd, runner, nullptr); }

int run_executor(ExecutorDescriptors descriptors, JobRunner& runner) {
  Result<AttemptBoard> board = AttemptBoard::open(descriptors.board);
  if (board) return serve(descriptors.socket, runner, &*board);
  std::cerr << fmt::format("{}: {}\n", runner.program(), board.error().message);
  return 1;
}

}  // namespace gauntlet::worker
