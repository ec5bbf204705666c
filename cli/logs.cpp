// gauntlet logs: what a job's attempts print.
#include "cli/support/interrupt.hpp"
#include "cli/support/log_source.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/proto/json.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kPause{200};

struct Options {
  std::string key;
  ConnectOptions connect;
  std::filesystem::path database;
  std::uint64_t attempt = 0;
  bool follow = false;
  bool list = false;
  bool events = false;
  bool json = false;
};

std::string attempts_text(const proto::AttemptsReply& reply) {
  std::string text =
      fmt::format("{}  {}: {}\n", proto::key_hex(reply.key()).substr(0, 12), reply.title(), reply.state());
  const std::int64_t now_ms = SystemClock().wall_ms();
  for (const proto::AttemptStatus& one : reply.attempts()) {
    const std::int64_t until_ms = one.ended_ms() == 0 ? now_ms : one.ended_ms();
    text += fmt::format(
        "  {:>3}  {:<13}  {}  {} on {}{}\n", one.attempt(), one.outcome(), iso8601_utc(one.started_ms()),
        human_duration(static_cast<double>(std::max<std::int64_t>(0, until_ms - one.started_ms())) / 1000),
        one.worker(), one.superseded() ? ", superseded" : "");
    const std::string first_line = one.message().substr(0, one.message().find('\n'));
    if (!first_line.empty()) text += fmt::format("       {}\n", first_line);
  }
  if (reply.attempts().empty()) text += "  no attempt has begun\n";
  return text;
}

class Reader {
 public:
  explicit Reader(const Options& options) : options_(options) {
    request_.set_key_prefix(options.key);
    request_.set_attempt(options.attempt);
    request_.set_events(options.events);
  }

  [[nodiscard]] Result<int> run() {
    GAUNTLET_TRY(source_, open());
    if (options_.list) return list();
    if (!options_.follow) return print_until_end();
    catch_interrupts();
    GAUNTLET_CHECK_OK(await_attempt());
    return print_until_end();
  }

 private:
  [[nodiscard]] Result<std::unique_ptr<LogSource>> open() const {
    return open_logs(options_.connect, {options_.connect.workdir, options_.database});
  }

  [[nodiscard]] Result<int> list() {
    GAUNTLET_TRY(const proto::AttemptsReply reply, source_->attempts(options_.key));
    GAUNTLET_CHECK_OK(options_.json ? print_json(proto::attempts_json(reply)) : print(attempts_text(reply)));
    return 0;
  }

  /// Whoever follows a job that waits sees its first attempt from the start.
  [[nodiscard]] Status await_attempt() {
    for (bool told = false; n_interrupts() == 0; pause_for(kPause)) {
      const Result<proto::AttemptsReply> reply =
          patiently<proto::AttemptsReply>([this] { return source_->attempts(options_.key); });
      if (!reply) return fail(reply.error());
      const bool comes = reply->state() == "waiting" || reply->state() == "queued";
      if (reply->attempts_size() > 0 || !comes) return {};
      if (!std::exchange(told, true)) {
        note(fmt::format("{} is {}; its first attempt is waited for\n", reply->title(), reply->state()));
      }
    }
    return {};
  }

  /// Without following, to the end there is now; else to the end of the attempt.
  [[nodiscard]] Result<int> print_until_end() {
    while (true) {
      if (n_interrupts() > 0) return exit_code_of(ErrorCode::kInterrupted);
      const Result<proto::LogReply> reply =
          options_.follow ? patiently<proto::LogReply>([this] { return source_->read(request_); })
                          : source_->read(request_);
      if (!reply) return fail(reply.error());
      GAUNTLET_CHECK_OK(print(reply->data()));
      request_.set_attempt(reply->attempt());  // a later attempt is another story
      request_.set_offset(reply->next_offset());
      if (!reply->at_end()) continue;
      GAUNTLET_CHECK_OK(flush_output());
      if (!options_.follow) return 0;
      if (reply->ended()) return say_end();
      pause_for(kPause);
    }
  }

  [[nodiscard]] Result<int> say_end() {
    GAUNTLET_TRY(const proto::AttemptsReply reply, source_->attempts(options_.key));
    for (const proto::AttemptStatus& one : reply.attempts()) {
      if (one.attempt() == request_.attempt())
        note(fmt::format("attempt {} ended: {}\n", one.attempt(), one.outcome()));
    }
    return 0;
  }

  /// A coordinator that restarts is waited for: what is printed is not lost meanwhile.
  template <class Reply, class Ask>
  [[nodiscard]] Result<Reply> patiently(Ask ask) {
    while (true) {
      Result<Reply> reply = ask();
      const bool may_come_back = !reply && (reply.error().code == ErrorCode::kUnreachable ||
                                            reply.error().code == ErrorCode::kTimedOut);
      if (!may_come_back || n_interrupts() > 0) return reply;
      if (!std::exchange(told_of_loss_, true)) note(fmt::format("{}; trying again\n", reply.error().message));
      pause_for(kPause);
      if (Result<std::unique_ptr<LogSource>> again = open()) source_ = std::move(*again);
    }
  }

  const Options& options_;
  std::unique_ptr<LogSource> source_;
  proto::LogRequest request_;
  bool told_of_loss_ = false;
};

Result<int> run(const Options& options) {
  if (options.key.size() < 4) {
    return fail(ErrorCode::kInvalid, "'{}' is too short; give at least 4 digits of the job's key",
                options.key);
  }
  if (options.json && !options.list) return fail(ErrorCode::kInvalid, "--json is for --list; logs are text");
  return Reader(options).run();
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("key", options->key, "First digits of a job's key (at least 4)").required();
  arguments.add_option("--attempt", options->attempt, "Which attempt (default: the last)")
      .number_between(1, 1'000'000);
  arguments.add_flag("-f,--follow", options->follow, "Go on printing what is added, until the attempt ends");
  arguments.add_flag("--list", options->list, "The attempts, how each ended, and where");
  arguments.add_flag("--events", options->events,
                     "What the attempt told of itself instead: one JSON object per line");
  options->connect.add_to(arguments);
  arguments
      .add_option("--database", options->database, "Database file (default: gauntlet.db in the work folder)")
      .type_name("FILE");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb logs_verb;
constinit const Verb logs_verb{
    .name = "logs",
    .summary = "Print what a job's attempts print",
    .examples =
        "  gauntlet logs 3fa9c2\n"
        "  gauntlet logs 3fa9c2 -f\n"
        "  gauntlet logs 3fa9c2 --list\n"
        "  gauntlet logs 3fa9c2 --attempt 1 --events\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
