// What clients ask to be changed: submissions, cancel, retry, pause.
#include <malloc.h>
#include <spdlog/logger.h>

#include "coordinator/net/hub.hpp"
#include "core/base/clipped.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using proto::Frame;

/// Submissions from this size on leave holes in the heap that are worth giving back.
constexpr std::size_t kLargeSubmission = 10000;
/// A submission is kept in memory until its commit.
constexpr std::size_t kMaxSubmissionBytes = std::size_t{4} << 30;
constexpr std::size_t kMaxNameBytes = 1000;   ///< of a sweep
constexpr std::size_t kMaxPersonBytes = 256;  ///< of a user or a host

Frame accepted_frame(std::uint64_t request) {
  Frame frame;
  frame.set_id(request);
  frame.mutable_accepted();
  return frame;
}

/// Copies texts, though the message goes: what stays lies together then, and the message leaves one hole for
/// the next one instead of thousands, among which malloc() would look for places.
Result<store::SubmittedJob> job_from(const proto::Job& message) {
  store::SubmittedJob job;
  const std::size_t n_bytes =
      message.canonical().size() + message.title().size() + message.locations().size();
  if (n_bytes > proto::kMaxJobBytes) {
    return fail(ErrorCode::kInvalid,
                "job '{}': its config, title and locations have {} bytes; at most {} are allowed",
                clipped(message.title(), 100), n_bytes, proto::kMaxJobBytes);
  }
  GAUNTLET_TRY(job.key, proto::key_from_bytes(message.key()));
  GAUNTLET_TRY(job.resources, proto::resources_from(message.resources()));
  job.canonical = message.canonical();
  job.title = message.title();
  if (!message.locations().empty()) job.locations = message.locations();
  for (const std::string& need : message.needs()) {
    GAUNTLET_TRY(JobKey key, proto::key_from_bytes(need));
    job.needs.push_back(key);
  }
  GAUNTLET_CHECK_OK(store::check_job(job));  // while the next chunk travels, not while the store is busy
  return job;
}

Result<store::SubmittedCell> cell_from(const proto::Cell& message) {
  store::SubmittedCell cell;
  cell.cell.dataset = message.dataset();
  cell.cell.model = message.model();
  cell.cell.bits = message.bits();
  cell.cell.defense = message.defense();
  cell.cell.attack = message.attack();
  cell.cell.protocol = message.protocol();
  cell.cell.direction = message.direction();
  cell.cell.variant = message.variant();
  cell.cell.seed = message.seed();
  for (const proto::CellJob& part : message.jobs()) {
    GAUNTLET_TRY(const JobKey key, proto::key_from_bytes(part.key()));
    cell.jobs.push_back({key, part.role()});
  }
  cell.metrics.assign(message.metrics().begin(), message.metrics().end());
  return cell;
}

Status add_bytes(std::size_t n_bytes, PendingSubmission& pending) {
  pending.n_bytes += n_bytes;
  if (pending.n_bytes <= kMaxSubmissionBytes) return {};
  return fail(ErrorCode::kInvalid, "the submission is larger than {} bytes", kMaxSubmissionBytes);
}

Status check_name(const std::string& name) {
  if (name.size() <= kMaxNameBytes) return {};
  return fail(ErrorCode::kInvalid, "the sweep's name '{}' has {} bytes; at most {} are allowed",
              clipped(name, 100), name.size(), kMaxNameBytes);
}

Status add_text(const proto::SubmitBegin& begin, PendingSubmission& pending) {
  GAUNTLET_CHECK_OK(add_bytes(begin.spec_text().size(), pending));
  pending.head.spec_text += begin.spec_text();
  return {};
}

Status add_chunk(const proto::SubmitChunk& chunk, PendingSubmission& pending) {
  GAUNTLET_CHECK_OK(add_bytes(chunk.ByteSizeLong(), pending));
  auto part = std::make_shared<store::SubmissionPart>();
  part->jobs.reserve(static_cast<std::size_t>(chunk.jobs_size()));
  part->cells.reserve(static_cast<std::size_t>(chunk.cells_size()));
  for (const proto::Job& message : chunk.jobs()) {
    GAUNTLET_TRY(store::SubmittedJob job, job_from(message));
    part->jobs.push_back(std::move(job));
  }
  for (const proto::Cell& message : chunk.cells()) {
    GAUNTLET_TRY(store::SubmittedCell cell, cell_from(message));
    part->cells.push_back(std::move(cell));
  }
  pending.n_jobs += part->jobs.size();
  pending.n_cells += part->cells.size();
  pending.parts.push_back(std::move(part));
  return {};
}

/// Adds to what is pending, and answers; after the first refusal nothing is added any more.
template <class Add>
void take_part(Session& session, std::uint64_t request, const Add& add) {
  PendingSubmission& pending = *session.pending;
  if (!pending.broken) {
    const Status added = add(pending);
    if (!added) {
      pending.broken = added.error();
      pending.parts.clear();
    }
  }
  if (request == 0) return;
  if (pending.broken) {
    session.fail(request, *pending.broken);
  } else {
    session.send(accepted_frame(request));
  }
}

Result<store::Selection> selection_from(const proto::Selection& message) {
  store::Selection selection;
  selection.sweep = SweepId{message.sweep_id()};
  selection.key_prefix = message.key_prefix();
  selection.where = message.where();
  for (const std::string& name : message.states()) {
    std::size_t tag = 0;
    while (tag < engine::kJobStateCount && engine::name_of(static_cast<engine::JobStateTag>(tag)) != name)
      ++tag;
    if (tag == engine::kJobStateCount) {
      return fail(
          ErrorCode::kInvalid,
          "job state '{}' is unknown; allowed are waiting, queued, leased, done, failed, blocked, cancelled",
          name);
    }
    selection.states.push_back(static_cast<engine::JobStateTag>(tag));
  }
  return selection;
}

bool is_empty(const store::Selection& selection) {
  return !selection.sweep && selection.states.empty() && selection.key_prefix.empty() &&
         selection.where.empty();
}

/// A key names one job, or it is an error.
Result<std::vector<JobId>> select_jobs(store::JobStore& store, const store::Selection& selection) {
  if (!selection.key_prefix.empty()) GAUNTLET_CHECK_OK(store.find_one(selection.key_prefix));
  return store.select(selection);
}

CommitQueue::Work<Result<std::vector<JobId>>> select_work(store::Selection selection) {
  return [selection = std::move(selection)](store::JobStore& store) { return select_jobs(store, selection); };
}

/// All of it, on the writer's thread, where its memory is freed too.
CommitQueue::Work<Result<engine::SubmitOutcome>> submit_work(PendingSubmission pending, std::int64_t at_ms) {
  return [shared = std::make_shared<PendingSubmission>(std::move(pending)),
          at_ms](store::JobStore& store) -> Result<engine::SubmitOutcome> {
    GAUNTLET_CHECK_OK(store.begin_submission(std::make_shared<store::SubmissionHead>(shared->head), at_ms));
    for (const auto& part : shared->parts) GAUNTLET_CHECK_OK(store.add_to_submission(*part));
    return store.finish_submission();
  };
}

}  // namespace

// ---------------------------------------------------------------- submission

void Hub::on_submit_begin(Session& session, std::uint64_t request, const proto::SubmitBegin& begin) {
  if (begin.name().empty() && session.pending) {  // its spec text did not fit one frame and goes on
    queue_.drop_early(std::exchange(session.pending->ticket, 0));
    return take_part(session, request, [&](PendingSubmission& pending) { return add_text(begin, pending); });
  }
  drop_pending(session);
  if (begin.user().size() > kMaxPersonBytes || begin.host().size() > kMaxPersonBytes) {
    return session.fail(
        request, {ErrorCode::kInvalid, fmt::format("user and host have at most {} bytes", kMaxPersonBytes)});
  }
  PendingSubmission& pending = session.pending.emplace();
  pending.head.name = begin.name();
  pending.head.spec_text = begin.spec_text();
  pending.head.spec_path = begin.spec_path();
  pending.head.priority = begin.priority();
  pending.head.revision = begin.revision();
  pending.head.metrics = begin.metrics();
  pending.head.user = begin.user();
  pending.head.host = begin.host();
  take_part(session, request, [&](PendingSubmission&) { return check_name(begin.name()); });
}

void Hub::drop_pending(Session& session) {
  if (session.pending) queue_.drop_early(session.pending->ticket);
  session.pending.reset();
}

void Hub::on_submit_chunk(Session& session, std::uint64_t request, proto::SubmitChunk& chunk) {
  if (!session.pending) {
    if (request != 0) session.fail(request, {ErrorCode::kInvalid, "a submission starts with submit_begin"});
    return;
  }
  take_part(session, request, [&](PendingSubmission& pending) -> Status {
    GAUNTLET_CHECK_OK(add_chunk(chunk, pending));
    if (pending.parts.size() == 1) {
      pending.ticket =
          queue_.begin_early(std::make_shared<store::SubmissionHead>(pending.head), clock_.wall_ms());
    }
    queue_.add_early(pending.ticket, pending.parts.back());
    return {};
  });
}

asio::awaitable<Status> Hub::on_submit_commit(SessionPtr session, Ask ask) {
  if (!session->pending) co_return fail(ErrorCode::kInvalid, "a submission starts with submit_begin");
  const std::size_t n_jobs = session->pending->n_jobs;
  const std::size_t n_cells = session->pending->n_cells;
  const std::uint64_t ticket = session->pending->ticket;
  Status whole;
  if (session->pending->broken) {
    whole = fail(std::move(*session->pending->broken));
  } else if (ask.submit_commit().n_jobs() != n_jobs || ask.submit_commit().n_cells() != n_cells) {
    whole = fail(ErrorCode::kInvalid, "{} jobs and {} cells arrived, but {} and {} were announced", n_jobs,
                 n_cells, ask.submit_commit().n_jobs(), ask.submit_commit().n_cells());
  }
  if (!whole) {
    drop_pending(*session);
    co_return whole;
  }
  CommitQueue::Work<Result<engine::SubmitOutcome>> work =
      submit_work(std::move(*session->pending), clock_.wall_ms());
  session->pending.reset();
  Result<engine::SubmitOutcome> outcome = co_await queue_.submitted(ticket, std::move(work));
  if (!outcome) {
    if (outcome.error().code != ErrorCode::kInvalid) log_->error("submission: {}", outcome.error().message);
    co_return fail(std::move(outcome.error()));
  }
  Result<engine::Decision> decision = engine::on_submit(state_, now(), *outcome);
  if (!decision) {  // the database took what the engine cannot: only a restart reads it again
    on_fatal_(decision.error());
    co_return fail(std::move(decision.error()));
  }
  ++work_.submissions;
  log_->info("sweep {} '{}': {} new jobs, {} reused, {} done before", outcome->sweep.id.value,
             outcome->sweep.name, outcome->new_jobs, outcome->reused_jobs, outcome->done_jobs);
  settle(std::move(*decision));
  if (!outcome->changes
           .empty()) {  // what follows from the graph is found again; these are in the decision alone
    std::vector<engine::Transition> none;
    co_await queue_.committed(std::move(none));
  }
  Frame frame;
  frame.set_id(ask.id());
  proto::SubmitReply& reply = *frame.mutable_submit_reply();
  reply.set_sweep_id(outcome->sweep.id.value);
  reply.set_new_jobs(outcome->new_jobs);
  reply.set_reused_jobs(outcome->reused_jobs);
  reply.set_done_jobs(outcome->done_jobs);
  reply.set_new_cells(outcome->new_cells);
  session->send(frame);
  outcome->rows = {};
  if (n_jobs >= kLargeSubmission) ::malloc_trim(0);
  co_return Status{};
}

// ---------------------------------------------------------------- changes

asio::awaitable<void> Hub::settle_change(SessionPtr session, std::uint64_t request,
                                         engine::Decision decision) {
  Frame frame;
  frame.set_id(request);
  frame.mutable_change_reply()->set_n_jobs(decision.n_jobs);
  settle(std::move(decision));
  std::vector<engine::Transition> none;
  co_await queue_.committed(std::move(none));  // behind the decision, so durable when this returns
  session->send(frame);
}

asio::awaitable<Status> Hub::on_cancel(SessionPtr session, Ask ask) {
  Result<store::Selection> selection = selection_from(ask.cancel_request().selection());
  if (!selection) co_return fail(std::move(selection.error()));
  if (is_empty(*selection)) {
    co_return fail(ErrorCode::kInvalid,
                   "say which jobs to cancel: a sweep, states, a key or a condition over cells");
  }
  const SweepId sweep =
      selection->where.empty() && selection->key_prefix.empty() ? selection->sweep : SweepId{};
  selection->exclusive = !selection->where.empty();
  CommitQueue::Work<Result<std::vector<JobId>>> work = select_work(std::move(*selection));
  const Result<std::vector<JobId>> jobs = co_await queue_.asked(std::move(work));
  if (!jobs) co_return fail(jobs.error());
  const std::string& given = ask.cancel_request().reason();
  const std::string reason = given.empty() ? "cancelled" : fmt::format("cancelled: {}", given);
  engine::Decision decision = engine::on_cancel(state_, now(), *jobs, sweep, reason);
  co_await settle_change(session, ask.id(), std::move(decision));
  co_return Status{};
}

asio::awaitable<Status> Hub::on_retry(SessionPtr session, Ask ask) {
  Result<store::Selection> selection = selection_from(ask.retry_request().selection());
  if (!selection) co_return fail(std::move(selection.error()));
  CommitQueue::Work<Result<std::vector<JobId>>> work = select_work(std::move(*selection));
  const Result<std::vector<JobId>> jobs = co_await queue_.asked(std::move(work));
  if (!jobs) co_return fail(jobs.error());
  engine::Decision decision = engine::on_retry(state_, now(), *jobs);
  co_await settle_change(session, ask.id(), std::move(decision));
  co_return Status{};
}

asio::awaitable<Status> Hub::on_pause(SessionPtr session, Ask ask) {
  const proto::PauseRequest& pause = ask.pause_request();
  Result<engine::Decision> decision =
      engine::on_pause(state_, now(), SweepId{pause.sweep_id()}, pause.paused());
  if (!decision) co_return fail(std::move(decision.error()));
  co_await settle_change(session, ask.id(), std::move(*decision));
  co_return Status{};
}

}  // namespace gauntlet::coordinator
