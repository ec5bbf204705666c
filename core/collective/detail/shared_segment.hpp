// Memory that all ranks of a gang on one machine have mapped, and the turns they take in it.
//
// Every rank has a seat (a counter of the turns it has finished writing) and two buffers. In turn n it fills
// its buffer n mod 2, arrives, waits until all have arrived, and reads everybody's buffer n mod 2. Nobody can
// overwrite what another still reads: who fills the same buffer again, in turn n + 2, has seen all arrive in
// turn n + 1, after their reading.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"
#include "core/collective/detail/shared_region.hpp"

namespace gauntlet::collective {

/// One rank's view. Thread safety: one thread at a time.
class SharedSegment {
 public:
  /// Bytes of a buffer. Larger tensors take several turns; the buffers of two ranks fit into a second-level
  /// cache.
  static constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

  /// Errors: kIo.
  [[nodiscard]] static Result<std::unique_ptr<SharedSegment>> create(std::int64_t world_size);
  /// Maps what another rank created, as its `address()` says. Errors: kUnreachable, as SharedRegion.
  [[nodiscard]] static Result<std::unique_ptr<SharedSegment>> open(const std::string& address,
                                                                   std::int64_t rank,
                                                                   std::int64_t world_size);
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  [[nodiscard]] std::string address() const { return region_->address(); }
  /// Looks at the other ranks' processes from now on; all have created or opened the segment.
  void watch_others();

  /// The buffer of `rank` in the present turn, aligned to a cache line.
  [[nodiscard]] std::byte* buffer(std::int64_t rank) const;
  /// Ends the present turn's writing and waits for the others'. Errors: kCollective when a rank is gone
  /// before it arrived, kTimedOut.
  [[nodiscard]] Status arrive_and_wait(std::chrono::milliseconds timeout);
  /// Ends the turn's reading: buffer() is the next turn's.
  void next_turn() { ++turn_; }

 private:
  struct Seat;
  SharedSegment(std::unique_ptr<SharedRegion> region, std::int64_t rank, std::int64_t world_size);
  [[nodiscard]] static std::size_t bytes_of(std::int64_t world_size);
  [[nodiscard]] Seat& seat(std::int64_t rank) const;
  [[nodiscard]] bool is_gone(std::int64_t rank) const;
  [[nodiscard]] Status wait_for(std::int64_t rank, std::chrono::steady_clock::time_point deadline) const;

  std::int64_t rank_, world_size_;
  std::unique_ptr<SharedRegion> region_;
  std::vector<Descriptor> processes_;  ///< by rank; none until watch_others(), and none of an own thread's
  std::uint32_t turn_ = 1;
};

}  // namespace gauntlet::collective
