#include "coordinator/net/commit_queue.hpp"

#include <algorithm>

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

/// One transaction stays short enough for questions to be answered in between.
constexpr std::size_t kMaxBatch = 20000;

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
  wake_.notify_one();
  writer_.join();
}

void CommitQueue::abandon() {
  const std::lock_guard lock(mutex_);
  dropped_ = true;
  entries_.clear();
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
  wake_.notify_one();
}

void CommitQueue::run_writer() {
  for (;;) {
    std::deque<Entry> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !entries_.empty(); });
      if (entries_.empty()) return;
      batch.swap(entries_);
    }
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
        if (ok)
          asio::post(io_, [this, then = std::get<Task>(batch.front()).run(store_)] {
            answered(false);
            then();
          });
      }
      batch.pop_front();
    }
    if (ok && !group.empty()) ok = write(std::move(group));
    if (!ok) return;
  }
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
  asio::post(io_,
             [this, group = std::move(group), n_leases = std::move(n_leases), payloads = std::move(*payloads),
              took, n_transitions = transitions.size(), commit_s = store_.last_commit_s()] {
               if (n_transitions > 0) {
                 stats_.n_transitions += n_transitions;
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
  asio::post(io_, [this, error] { on_failure_(error); });
}

}  // namespace gauntlet::coordinator
