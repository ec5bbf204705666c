// The writer thread: owns the store, commits decisions in the order in which they were made. Whatever was
// decided while one transaction ran goes into the next one together (group commit); messages wait for their
// transaction. Thread safety: commit, ask and drain are called from the io_context's thread only; callbacks
// run there, in order.
#pragma once

#include <atomic>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <variant>
#include <vector>

#include "coordinator/engine/transitions.hpp"
#include "coordinator/net/metrics.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

/// How long commits take.
struct CommitStats {
  Histogram latency = disk_histogram();      ///< from commit() to the callback
  Histogram transaction = disk_histogram();  ///< of the writer
  Histogram commit = disk_histogram();       ///< its COMMIT alone
  std::uint64_t n_transitions = 0;
};

class CommitQueue {
 public:
  /// Called once the transitions are durable, with the payloads of the leases among them, in their order.
  using Committed = std::function<void(std::span<const engine::JobPayload>)>;
  using Failed = std::function<void(const Error&)>;
  /// What is asked of the store. In a coroutine, name it before the co_await: GCC 12 destroys temporaries
  /// with captures inside such an expression twice.
  template <class Answer>
  using Work = std::function<Answer(store::JobStore&)>;

  /// `on_failure` hears of the first commit that failed; nothing is written or called back after it.
  CommitQueue(boost::asio::io_context& io, store::JobStore store, Failed on_failure);
  /// Writes what is queued, then ends the thread.
  ~CommitQueue();
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  void commit(std::vector<engine::Transition> transitions, Committed then);

  /// Runs `work` on the store, after every commit queued before, and `then` with what it gave.
  template <class Answer>
  void ask(Work<Answer> work, std::function<void(Answer)> then, std::uint64_t ticket = 0) {
    push(Task{
        [work = std::move(work), then = std::move(then)](store::JobStore& store) -> std::function<void()> {
          auto answer = std::make_shared<Answer>(work(store));
          return [answer, then] { then(std::move(*answer)); };
        },
        ticket});
  }

  /// The same for coroutines.
  template <class Answer>
  [[nodiscard]] boost::asio::awaitable<Answer> asked(Work<Answer> work, std::uint64_t ticket = 0) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(Answer)>(
        [this](auto handler, Work<Answer> deferred, std::uint64_t of_submission) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          this->template ask<Answer>(
              std::move(deferred), [shared](Answer answer) { std::move (*shared)(std::move(answer)); },
              of_submission);
        },
        boost::asio::use_awaitable, std::move(work), ticket);
  }
  /// Ends when the transitions are durable.
  [[nodiscard]] boost::asio::awaitable<void> committed(std::vector<engine::Transition> transitions);

  /// Begins to write a submission that is still arriving, in one open transaction, for as long as nobody else
  /// has anything for the store: then all of it is dropped again, and submitted() writes it as a whole. Gives
  /// its ticket; 0, which the calls below take as "not begun", while another one is being written.
  [[nodiscard]] std::uint64_t begin_early(std::shared_ptr<const store::SubmissionHead> head,
                                          std::int64_t at_ms);
  void add_early(std::uint64_t ticket, std::shared_ptr<const store::SubmissionPart> part);
  void drop_early(std::uint64_t ticket);
  /// Whether the writer has all parts that were added, and waits.
  [[nodiscard]] bool early_is_written();
  /// Durable, or refused, when it ends. `whole` writes all of it, where nothing has been written early.
  [[nodiscard]] boost::asio::awaitable<Result<engine::SubmitOutcome>> submitted(
      std::uint64_t ticket, Work<Result<engine::SubmitOutcome>> whole);

  /// Calls back for what has been done, and tells how often. Until it is called with `again` false, the
  /// io_context's thread is not woken for answers: that costs as much as what it does with one.
  std::size_t look_for_answers(bool again);

  [[nodiscard]] const CommitStats& stats() const { return stats_; }
  /// Of whatever waits for its callback now; 0 when nothing does.
  [[nodiscard]] Milliseconds longest_wait() const;
  [[nodiscard]] bool is_idle() const { return n_unanswered_ == 0; }
  /// From any thread: drops what has not reached the store yet, as a crash would.
  void abandon();

 private:
  struct Commit {
    std::vector<engine::Transition> transitions;
    Committed then;
  };
  struct Task {
    std::function<std::function<void()>(store::JobStore&)> run;  ///< gives what to call on the io_context
    std::uint64_t ticket = 0;  ///< of the early submission it ends; 0 = of none
  };
  using Entry = std::variant<Commit, Task>;

  /// The submission that is written early.
  struct Early {
    std::uint64_t ticket = 0;  ///< 0 = there is none
    std::shared_ptr<const store::SubmissionHead> head;
    std::int64_t at_ms = 0;
    std::deque<std::shared_ptr<const store::SubmissionPart>> parts;  ///< not written yet
    bool is_writing = false;
    bool given_up = false;  ///< its parts are of no use until its end is known

    [[nodiscard]] bool waits() const { return head || !parts.empty(); }
    void give_up() {
      given_up = true;
      head = nullptr;
      parts.clear();
    }
  };

  void push(Entry entry);
  /// There is work now: ends its sleep and its look.
  void call_writer();
  void run_writer();
  /// Gives way to whoever else can run until there is work, for a moment. Without the mutex, for which
  /// whoever brings some would have to be put to sleep.
  void look_for_work() const;
  /// Of the early submission; false: there is nothing to write now. Writer thread, like the next two.
  [[nodiscard]] bool write_next_part();
  /// Before `entry` is looked at: an early submission is written to its end, if this is it, or else dropped.
  void make_way_for(const Entry& entry);
  void forget_early(std::uint64_t ticket);
  /// Commits entries [begin, end) of the batch, all commits, in one transaction.
  [[nodiscard]] bool write(std::vector<Commit> group);
  void report_failure(const Error& error);
  /// Has `then` called on the io_context's thread, after those given before. Writer thread.
  void answer(std::function<void()> then);
  std::size_t run_answers();
  /// To be called on the io_context's thread before each callback.
  void answered(bool is_commit);

  boost::asio::io_context& io_;
  Failed on_failure_;
  std::size_t n_unanswered_ = 0;   ///< entries whose callback has not run; io_context's thread only
  std::deque<SteadyTime> pushed_;  ///< when each of them was pushed; io_context's thread only
  CommitStats stats_;              ///< io_context's thread only
  store::JobStore store_;          ///< writer thread only
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> was_called_ = false;  ///< since the writer last took work: what it looks at
  std::deque<Entry> entries_;             ///< guarded by mutex_
  Early early_;                           ///< guarded by mutex_
  std::uint64_t last_ticket_ = 0;         ///< io_context's thread only
  bool ending_ = false;                   ///< guarded by mutex_
  bool dropped_ = false;                  ///< guarded by mutex_: after a failure or abandon
  std::mutex answers_mutex_;
  std::vector<std::function<void()>> answers_;  ///< guarded by answers_mutex_
  std::atomic<bool> has_answers_ = false;       ///< written with answers_mutex_
  std::atomic<bool> caller_looks_ = false;      ///< read after has_answers_ is set, written before it is read
  std::thread writer_;
};

}  // namespace gauntlet::coordinator
