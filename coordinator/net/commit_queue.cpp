#include "coordinator/net/commit_queue.hpp"

#include <algorithm>

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

/// One transaction stays short enough for questions to be answered in between.
constexpr std::size_t kMaxBatch = 20000;
/// How long the writer looks for more before it sleeps, giving way to whoever else can run, after a commit
/// that came alone and changed little: to be woken costs more than such a transaction where processors are
/// virtual, and the next report of a worker that has one job at a time comes at once.
constexpr std::chrono::microseconds kLook{250};
constexpr std::size_t kLittle = 4;

std::size_t count_leases(const std::vector<engine::Transition>& transitions) {
  return static_cast<std::size_t>(std::count_if(
      transitions.begin(), transitions.end(),
      [](const auto& transition) { return std::holds_alternative<engine::JobLeased>(transition.change); }));
}

}  // namespace

CommitQueue::CommitQueue(asio::io_context& io, store::JobStore store, Failed on_failure)
    : io_(io),
      on_failure_(std::move(on_failure)),
      store_(std::move(store)),
      writer_([this] { run_writer(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  call_writer();
  writer_.join();
}

void CommitQueue::abandon() {
  const std::lock_guard lock(mutex_);
  dropped_ = true;
  entries_.clear();
  early_ = {};
}

void CommitQueue::commit(std::vector<engine::Transition> transitions, Committed then) {
  if (transitions.empty() && n_unanswered_ == 0) {  // nothing it could overtake
    then({});
    return;
  }
  push(Commit{std::move(transitions), std::move(then)});
}

asio::awaitable<void> CommitQueue::committed(std::vector<engine::Transition> transitions) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this](auto handler, std::vector<engine::Transition> deferred) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));
        push(Commit{std::move(deferred),
                    [shared](std::span<const engine::JobPayload>) { std::move (*shared)(); }});
      },
      asio::use_awaitable, std::move(transitions));
}

void CommitQueue::push(Entry entry) {
  {
    const std::lock_guard lock(mutex_);
    if (dropped_) return;
    entries_.push_back(std::move(entry));
  }
  ++n_unanswered_;
  pushed_.push_back(std::chrono::steady_clock::now());
  call_writer();
}

void CommitQueue::call_writer() {
  was_called_ = true;
  wake_.notify_one();
}

void CommitQueue::look_for_work() const {
  const SteadyTime until = std::chrono::steady_clock::now() + kLook;
  while (!was_called_ && std::chrono::steady_clock::now() < until) std::this_thread::yield();
}

void CommitQueue::run_writer() {
  const auto has_work = [this] { return ending_ || !entries_.empty() || early_.waits(); };
  const auto is_little = [](const std::deque<Entry>& batch) {
    const auto* commit = batch.size() == 1 ? std::get_if<Commit>(&batch.front()) : nullptr;
    return commit != nullptr && commit->transitions.size() <= kLittle;
  };
  bool looks = false;
  for (;;) {
    std::deque<Entry> batch;
    {
      if (looks) look_for_work();
      std::unique_lock lock(mutex_);
      wake_.wait(lock, has_work);
      if (entries_.empty() && ending_) return;
      batch.swap(entries_);
      was_called_ = false;
      looks = is_little(batch);
    }
    if (batch.empty()) {
      static_cast<void>(write_next_part());
      continue;
    }
    make_way_for(batch.front());
    std::vector<Commit> group;
    std::size_t n_transitions = 0;
    bool ok = true;
    while (ok && !batch.empty()) {
      if (auto* commit = std::get_if<Commit>(&batch.front())) {
        n_transitions += commit->transitions.size();
        group.push_back(std::move(*commit));
        if (n_transitions >= kMaxBatch) {
          ok = write(std::exchange(group, {}));
          n_transitions = 0;
        }
      } else {
        ok = group.empty() || write(std::exchange(group, {}));
        n_transitions = 0;
        if (ok) {
          const Task& task = std::get<Task>(batch.front());
          std::function<void()> then = task.run(store_);
          forget_early(task.ticket);  // whoever hears of the end may begin the next
          answer([this, then = std::move(then)] {
            answered(false);
            then();
          });
        }
      }
      batch.pop_front();
    }
    if (ok && !group.empty()) ok = write(std::move(group));
    if (!ok) return;
  }
}

// ---------------------------------------------------------------- early submissions

std::uint64_t CommitQueue::begin_early(std::shared_ptr<const store::SubmissionHead> head,
                                       std::int64_t at_ms) {
  const std::lock_guard lock(mutex_);
  if (dropped_ || early_.ticket != 0) return 0;
  early_ = Early{.ticket = ++last_ticket_, .head = std::move(head), .at_ms = at_ms, .parts = {}};
  call_writer();
  return early_.ticket;
}

void CommitQueue::add_early(std::uint64_t ticket, std::shared_ptr<const store::SubmissionPart> part) {
  const std::lock_guard lock(mutex_);
  if (ticket == 0 || early_.ticket != ticket || early_.given_up) return;
  early_.parts.push_back(std::move(part));
  call_writer();
}

void CommitQueue::drop_early(std::uint64_t ticket) {
  if (ticket == 0) return;
  {
    const std::lock_guard lock(mutex_);
    if (early_.ticket == ticket) early_.give_up();
  }
  Work<bool> drop = [](store::JobStore& store) {
    if (store.has_open_submission()) store.drop_submission();
    return true;
  };
  ask<bool>(
      std::move(drop), [](bool) {}, ticket);
}

asio::awaitable<Result<engine::SubmitOutcome>> CommitQueue::submitted(
    std::uint64_t ticket, Work<Result<engine::SubmitOutcome>> whole) {
  Work<Result<engine::SubmitOutcome>> work = [whole = std::move(whole)](store::JobStore& store) {
    return store.has_open_submission() ? store.finish_submission() : whole(store);
  };
  co_return co_await asked(std::move(work), ticket);
}

bool CommitQueue::early_is_written() {
  const std::lock_guard lock(mutex_);
  return !early_.waits() && !early_.is_writing;
}

bool CommitQueue::write_next_part() {
  std::shared_ptr<const store::SubmissionHead> head;
  std::shared_ptr<const store::SubmissionPart> part;
  std::int64_t at_ms = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!early_.waits()) return false;
    early_.is_writing = true;
    at_ms = early_.at_ms;
    head = std::exchange(early_.head, nullptr);
    if (!head) {
      part = std::move(early_.parts.front());
      early_.parts.pop_front();
    }
  }
  const Status written = head ? store_.begin_submission(std::move(head), at_ms)  //
                              : store_.add_to_submission(*part);
  const std::lock_guard lock(mutex_);
  early_.is_writing = false;
  if (written) return true;
  early_.give_up();  // what is wrong with it is told when it is written as a whole
  return false;
}

void CommitQueue::make_way_for(const Entry& entry) {
  const auto* const task = std::get_if<Task>(&entry);
  if (task != nullptr && task->ticket != 0 && store_.has_open_submission()) {
    while (write_next_part()) {
    }
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    early_.give_up();
  }
  if (store_.has_open_submission()) store_.drop_submission();
}

void CommitQueue::forget_early(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket != 0 && early_.ticket == ticket) early_ = {};
}

bool CommitQueue::write(std::vector<Commit> group) {
  {
    const std::lock_guard lock(mutex_);
    if (dropped_) return false;
  }
  std::vector<engine::Transition> transitions;
  std::vector<std::size_t> n_leases;
  for (Commit& commit : group) {
    n_leases.push_back(count_leases(commit.transitions));
    std::move(commit.transitions.begin(), commit.transitions.end(), std::back_inserter(transitions));
  }
  const SteadyTime begun = std::chrono::steady_clock::now();
  auto payloads = store_.apply(transitions);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  if (!payloads) {
    report_failure(payloads.error());
    return false;
  }
  answer([this, group = std::move(group), n_leases = std::move(n_leases), payloads = std::move(*payloads),
          took, commit_s = store_.last_commit_s(),
          transitions = std::move(transitions)] {  // freed where they were made: there is more time for it
    if (!transitions.empty()) {
      stats_.n_transitions += transitions.size();
      stats_.transaction.observe(took.count());
      stats_.commit.observe(commit_s);
    }
    std::span<const engine::JobPayload> rest(payloads);
    for (std::size_t at = 0; at < group.size(); ++at) {
      answered(true);
      group[at].then(rest.first(n_leases[at]));
      rest = rest.subspan(n_leases[at]);
    }
  });
  return true;
}

void CommitQueue::answer(std::function<void()> then) {
  {
    const std::lock_guard lock(answers_mutex_);
    answers_.push_back(std::move(then));
    has_answers_ = true;
  }
  if (!caller_looks_) asio::post(io_, [this] { run_answers(); });
}

std::size_t CommitQueue::look_for_answers(bool again) {
  caller_looks_ = again;
  return run_answers();
}

std::size_t CommitQueue::run_answers() {
  if (!has_answers_) return 0;
  std::vector<std::function<void()>> answers;
  {
    const std::lock_guard lock(answers_mutex_);
    answers.swap(answers_);
    has_answers_ = false;
  }
  for (const auto& then : answers) then();
  return answers.size();
}

void CommitQueue::answered(bool is_commit) {
  --n_unanswered_;
  if (is_commit) {
    stats_.latency.observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - pushed_.front()).count());
  }
  pushed_.pop_front();
}

Milliseconds CommitQueue::longest_wait() const {
  if (pushed_.empty()) return Milliseconds(0);
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - pushed_.front());
}

void CommitQueue::report_failure(const Error& error) {
  abandon();
  answer([this, error] { on_failure_(error); });
}

}  // namespace gauntlet::coordinator
