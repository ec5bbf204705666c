// What clients ask about attempts: which there are, and what they print. A log is read where it is: in the
// work folder, or by the worker that runs the attempt. Nothing is kept here; the reader asks again.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "coordinator/net/attempts_reply.hpp"
#include "coordinator/net/hub.hpp"
#include "coordinator/store/lookup.hpp"
#include "core/base/log_file.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using proto::Frame;
using store::AttemptRow;
using store::JobAttempts;

constexpr std::uint32_t kMaxLogBytes = 256 << 10;
constexpr std::chrono::seconds kWorkerPatience{10};

CommitQueue::Work<Result<JobAttempts>> attempts_work(std::string key_prefix) {
  return [prefix = std::move(key_prefix)](store::JobStore& store) { return store.attempts(prefix); };
}

/// Runs on the log reader's thread.
asio::awaitable<Result<LogPart>> read_there(std::filesystem::path log, std::uint64_t offset,
                                            std::size_t max_bytes) {
  co_return read_log(log, offset, max_bytes);
}

}  // namespace

asio::awaitable<Result<proto::AttemptsReply>> Hub::tell_attempts(std::string key_prefix) {
  CommitQueue::Work<Result<JobAttempts>> work = attempts_work(std::move(key_prefix));
  const Result<JobAttempts> found = co_await queue_.asked(std::move(work));
  if (!found) co_return fail(found.error());
  co_return attempts_reply(*found);
}

asio::awaitable<Status> Hub::on_attempts(SessionPtr session, Ask ask) {
  std::string key_prefix = ask.attempts_request().key_prefix();
  Result<proto::AttemptsReply> reply = co_await tell_attempts(std::move(key_prefix));
  if (!reply) co_return fail(reply.error());
  Frame frame;
  frame.set_id(ask.id());
  *frame.mutable_attempts_reply() = std::move(*reply);
  session->send(frame);
  co_return Status{};
}

asio::awaitable<Result<proto::LogReply>> Hub::tell_log(proto::LogRequest request) {
  CommitQueue::Work<Result<JobAttempts>> work = attempts_work(request.key_prefix());
  const Result<JobAttempts> found = co_await queue_.asked(std::move(work));
  if (!found) co_return fail(found.error());
  const Result<AttemptRow> row = store::choose_attempt(*found, request.attempt());
  if (!row) co_return fail(row.error());
  const std::uint32_t max_bytes =
      request.max_bytes() == 0 ? kMaxLogBytes : std::min(request.max_bytes(), kMaxLogBytes);
  std::filesystem::path log = attempt_log(options_.workdir, found->job.key.hex(), row->attempt.value);
  if (request.events()) log = events_beside(log);
  const char* const what = request.events() ? "events" : "log";
  const std::uint64_t offset = request.offset();
  proto::LogReply reply;
  asio::awaitable<Result<LogPart>> reading = read_there(log, offset, max_bytes);
  Result<LogPart> part = co_await asio::co_spawn(log_reader_, std::move(reading), asio::use_awaitable);
  if (part) {
    reply.set_data(std::move(part->bytes));
    reply.set_next_offset(part->next);
    reply.set_at_end(part->at_end);
  } else if (part.error().code != ErrorCode::kNotFound) {
    co_return fail(std::move(part.error()));
  } else {
    request.set_key(proto::key_bytes(found->job.key));
    request.set_attempt(row->attempt.value);
    request.set_max_bytes(max_bytes);
    Result<proto::LogReply> answer = co_await ask_worker(row->worker, std::move(request));
    if (answer) {
      reply = std::move(*answer);
    } else if (answer.error().code == ErrorCode::kNotFound && row->ended_ms == 0) {
      reply.set_next_offset(offset);  // it has not printed anything yet
      reply.set_at_end(true);
    } else if (answer.error().code == ErrorCode::kNotFound) {
      co_return fail(ErrorCode::kNotFound, "attempt {} of {} ({}) left no {} here or on its worker, {}",
                     row->attempt.value, found->job.title, found->job.key.brief(), what, row->worker_name);
    } else {
      co_return fail(std::move(answer.error()));
    }
  }
  reply.set_attempt(row->attempt.value);
  reply.set_ended(row->ended_ms != 0);  // known before the log was read: what is at the end now stays so
  co_return reply;
}

asio::awaitable<Status> Hub::on_log(SessionPtr session, Ask ask) {
  Result<proto::LogReply> reply = co_await tell_log(std::move(*ask.mutable_log_request()));
  if (!reply) co_return fail(reply.error());
  Frame frame;
  frame.set_id(ask.id());
  *frame.mutable_log_reply() = std::move(*reply);
  session->send(frame);
  co_return Status{};
}

asio::awaitable<Result<proto::LogReply>> Hub::ask_worker(WorkerId worker, proto::LogRequest request) {
  const auto connected = workers_.find(worker);
  if (connected == workers_.end())
    co_return fail(ErrorCode::kNotFound, "worker {} is not connected", worker.value);
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const std::uint64_t id = ++last_log_question_;
  const auto question = std::make_shared<LogQuestion>(LogQuestion{asio::steady_timer(executor), worker, {}});
  question->answered.expires_after(kWorkerPatience);
  log_questions_.emplace(id, question);
  Frame frame;
  frame.set_id(id);
  *frame.mutable_log_request() = std::move(request);
  connected->second->send(frame);
  static_cast<void>(co_await question->answered.async_wait(asio::as_tuple(asio::use_awaitable)));
  log_questions_.erase(id);
  if (!question->answer) {
    co_return fail(ErrorCode::kTimedOut, "the worker that has the log did not answer within {} s",
                   kWorkerPatience.count());
  }
  co_return std::move(*question->answer);
}

void Hub::on_log_reply(std::uint64_t request, proto::LogReply& reply) {
  const auto found = log_questions_.find(request);
  if (found == log_questions_.end()) return;  // too late
  LogQuestion& question = *found->second;
  if (reply.has_failure()) {
    question.answer = fail(proto::error_of(reply.failure()));
  } else {
    question.answer = std::move(reply);
  }
  question.answered.cancel();
}

void Hub::give_up_log_questions(WorkerId worker, std::string_view why) {
  for (const auto& [id, question] : log_questions_) {
    if ((worker && question->worker != worker) || question->answer) continue;
    question->answer = fail(ErrorCode::kUnreachable, "{}", why);
    question->answered.cancel();
  }
}

}  // namespace gauntlet::coordinator
