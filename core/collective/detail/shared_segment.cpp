#include "core/collective/detail/shared_segment.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <thread>

namespace gauntlet::collective {
namespace {

constexpr std::size_t kCacheLine = 64;
/// Ranks whose shares are alike arrive within a few microseconds of each other; asleep, one would need fifty
/// to be back.
constexpr std::chrono::microseconds kSpin(50);
/// What else may run first meanwhile, up to this. Where processors are virtual, one that is left idle is slow
/// to be back, and a step has dozens of exchanges.
constexpr std::chrono::milliseconds kYield(2);
/// How often a sleeping rank looks whether the one it waits for still lives.
constexpr std::chrono::milliseconds kLook(100);

void wait_on(std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  const timespec limit = {.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kLook).count()};
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

void wake_all_on(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct alignas(kCacheLine) SharedSegment::Seat {
  std::atomic<std::uint32_t> turn;      ///< written up to and with this one; wraps around
  std::atomic<std::uint32_t> n_asleep;  ///< ranks that wait for `turn` to change
  std::atomic<std::uint32_t> has_left;  ///< its communicator is gone, its process may live
  std::atomic<pid_t> process;
};

std::size_t SharedSegment::bytes_of(std::int64_t world_size) {
  return static_cast<std::size_t>(world_size) * (sizeof(Seat) + 2 * kBufferBytes);
}

SharedSegment::Seat& SharedSegment::seat(std::int64_t rank) const {
  return reinterpret_cast<Seat*>(region_->memory())[rank];
}

std::byte* SharedSegment::buffer(std::int64_t rank) const {
  std::byte* first = region_->memory() + static_cast<std::size_t>(world_size_) * sizeof(Seat);
  return first + (2 * static_cast<std::size_t>(rank) + turn_ % 2) * kBufferBytes;
}

SharedSegment::SharedSegment(std::unique_ptr<SharedRegion> region, std::int64_t rank, std::int64_t world_size)
    : rank_(rank), world_size_(world_size), region_(std::move(region)) {
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
  seat(rank_).process = ::getpid();
}

Result<std::unique_ptr<SharedSegment>> SharedSegment::create(std::int64_t world_size) {
  GAUNTLET_TRY(auto region, SharedRegion::create(bytes_of(world_size)));
  return std::unique_ptr<SharedSegment>(new SharedSegment(std::move(region), 0, world_size));
}

Result<std::unique_ptr<SharedSegment>> SharedSegment::open(const std::string& address, std::int64_t rank,
                                                           std::int64_t world_size) {
  GAUNTLET_TRY(auto region, SharedRegion::open(address, bytes_of(world_size)));
  return std::unique_ptr<SharedSegment>(new SharedSegment(std::move(region), rank, world_size));
}

SharedSegment::~SharedSegment() {
  seat(rank_).has_left = 1;
  wake_all_on(seat(rank_).turn);
}

void SharedSegment::watch_others() {
  for (std::int64_t rank = 0; rank < world_size_; ++rank) {
    const pid_t process = seat(rank).process;
    const bool is_own = process == ::getpid();
    processes_.emplace_back(is_own ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  }
}

/// Its communicator has said so, or its process has ended.
bool SharedSegment::is_gone(std::int64_t rank) const {
  if (seat(rank).has_left != 0) return true;
  if (seat(rank).process == ::getpid()) return false;
  pollfd process = {.fd = processes_[static_cast<std::size_t>(rank)].get(), .events = POLLIN, .revents = 0};
  return process.fd < 0 || ::poll(&process, 1, 0) > 0;
}

Status SharedSegment::wait_for(std::int64_t rank, std::chrono::steady_clock::time_point deadline) const {
  Seat& other = seat(rank);
  const auto has_arrived = [&] { return static_cast<std::int32_t>(other.turn.load() - turn_) >= 0; };
  const auto begin = std::chrono::steady_clock::now();
  for (int at = 0; !has_arrived(); ++at) {
    pause();
    if (at % 64 == 63 && std::chrono::steady_clock::now() > begin + kSpin) break;
  }
  while (!has_arrived() && std::chrono::steady_clock::now() < begin + kYield) std::this_thread::yield();
  while (!has_arrived()) {
    other.n_asleep.fetch_add(1);
    const std::uint32_t seen = other.turn.load();
    if (static_cast<std::int32_t>(seen - turn_) < 0 && other.has_left == 0) wait_on(other.turn, seen);
    other.n_asleep.fetch_sub(1);
    // In this order: a rank may arrive and end right after.
    const bool gone = is_gone(rank);
    if (has_arrived()) break;
    if (gone) return fail(ErrorCode::kCollective, "rank {} is gone", rank);
    if (std::chrono::steady_clock::now() > deadline)
      return fail(ErrorCode::kTimedOut, "rank {} did not come", rank);
  }
  return {};
}

Status SharedSegment::arrive_and_wait(std::chrono::milliseconds timeout) {
  Seat& own = seat(rank_);
  own.turn.store(turn_);  // sequentially consistent: a rank that goes to sleep is seen here, or sees this
  if (own.n_asleep.load() > 0) wake_all_on(own.turn);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (std::int64_t rank = 0; rank < world_size_; ++rank)
    if (rank != rank_) GAUNTLET_CHECK_OK(wait_for(rank, deadline));
  return {};
}

}  // namespace gauntlet::collective
