// Between the state machine of allocations and the world: commits what it decides, runs the commands it asks
// for on threads of their own, and tells it what came of them. Thread safety: the io_context's thread only.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "coordinator/alloc/state.hpp"
#include "coordinator/net/commit_queue.hpp"
#include "core/base/clock.hpp"
#include "schemas/protocol.pb.h"

namespace spdlog {
class logger;
}

namespace gauntlet::coordinator {

struct AllocOptions {
  std::filesystem::path workdir;
  std::filesystem::path program;  ///< started by allocations; "" = this one
  bool only_here = false;         ///< the coordinator listens on the loopback only
  alloc::Config config = {};
};

class AllocDesk {
 public:
  using Drain = std::function<void(alloc::AllocationId)>;

  /// `drain`: the allocation's agents get no further job. `on_fatal`: a commit failed.
  AllocDesk(boost::asio::io_context& io, AllocOptions options, const Clock& clock, CommitQueue& queue,
            const alloc::Rows& rows, std::shared_ptr<spdlog::logger> log, Drain drain,
            std::function<void(const Error&)> on_fatal);
  /// Ends commands that run; what they did shows in the next start's listings.
  ~AllocDesk();
  AllocDesk(const AllocDesk&) = delete;
  AllocDesk& operator=(const AllocDesk&) = delete;

  /// Whether there is anything to look after, and about a second has passed.
  [[nodiscard]] bool is_due() const;
  void tick(alloc::View view);
  /// An agent joined with this value of its label `alloc`.
  void came(const std::string& label);
  [[nodiscard]] const std::filesystem::path& program() const { return options_.program; }
  /// The allocation that an agent's label `alloc` names, if it is one of ours that lives.
  [[nodiscard]] alloc::AllocationId allocation_of(const std::string& label) const;

  // What clients ask; everything is durable when it is answered.
  [[nodiscard]] boost::asio::awaitable<Result<proto::AllocAddReply>> add(proto::AllocSpec message);
  [[nodiscard]] boost::asio::awaitable<Result<std::uint64_t>> remove(alloc::QueueId queue);
  [[nodiscard]] boost::asio::awaitable<Status> resume(alloc::QueueId queue);
  [[nodiscard]] Result<proto::AllocListReply> list(alloc::QueueId queue, alloc::View view) const;

 private:
  [[nodiscard]] alloc::Now now() const { return {clock_.now(), clock_.wall_ms()}; }
  /// Commits, then runs the commands.
  void settle(alloc::Decision decision);
  void run(const alloc::Submit& submit);
  void run(const alloc::Cancel& cancel);
  void run(const alloc::List& list);
  /// Runs `work` on a thread of its own and `then` with what it gave on the io_context's.
  template <class Answer>
  void on_thread(std::function<Answer()> work, std::function<void(Answer)> then);
  [[nodiscard]] alloc::ScriptSite site(const std::string& name, const std::string& label) const;

  boost::asio::io_context& io_;
  AllocOptions options_;
  const Clock& clock_;
  CommitQueue& queue_;
  std::shared_ptr<spdlog::logger> log_;
  Drain drain_;
  std::function<void(const Error&)> on_fatal_;
  alloc::State state_;
  std::set<alloc::AllocationId> came_;  ///< since the last tick
  SteadyTime next_tick_{};
  std::atomic<bool> stopping_ = false;
  boost::asio::thread_pool threads_{2};  ///< one may wait for a controller that does not answer
};

}  // namespace gauntlet::coordinator
