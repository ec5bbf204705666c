#include "worker/executor/attempt_board.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/base/files.hpp"

namespace gauntlet::worker {

/// As it lies in memory; all zeros when it is empty. Both programs are of one build.
struct AttemptBoard::Shared {
  std::array<std::atomic<std::uint64_t>, kPlaces> leases;  ///< 0 = a free place
  std::atomic<std::uint64_t> n_kept;                       ///< bytes; stored after the bytes themselves
  std::array<char, kKeptBytes> kept;
};

void AttemptBoard::Unmap::operator()(Shared* shared) const { ::munmap(shared, sizeof(Shared)); }

Result<AttemptBoard> AttemptBoard::make() {
  AttemptBoard board{Descriptor(::memfd_create("attempts", MFD_CLOEXEC))};
  if (board.descriptor() < 0 || ::ftruncate(board.descriptor(), sizeof(Shared)) != 0)
    return fail(system_error(errno, "make", "memory to share with an executor"));
  GAUNTLET_CHECK_OK(board.map());
  return board;
}

Result<AttemptBoard> AttemptBoard::open(int fd) {
  AttemptBoard board{Descriptor(fd)};
  if (::lseek(fd, 0, SEEK_END) != static_cast<off_t>(sizeof(Shared)))
    return fail(ErrorCode::kIo, "descriptor {} is not the memory that an agent shares", fd);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  GAUNTLET_CHECK_OK(board.map());
  return board;
}

Status AttemptBoard::map() {
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);  // else it would not work between processes
  void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED) return fail(system_error(errno, "map", "memory to share with an executor"));
  shared_.reset(static_cast<Shared*>(memory));
  return {};
}

bool AttemptBoard::offer(std::uint64_t lease) {
  return std::ranges::any_of(shared_->leases, [lease](auto& place) {
    std::uint64_t nobody = 0;
    return place.compare_exchange_strong(nobody, lease);
  });
}

bool AttemptBoard::take(std::uint64_t lease) {
  return std::ranges::any_of(shared_->leases, [lease](auto& place) {
    std::uint64_t mine = lease;
    return place.compare_exchange_strong(mine, 0);
  });
}

bool AttemptBoard::keep(std::string_view frames) {
  const std::uint64_t n_before = shared_->n_kept.load();
  if (frames.size() > kKeptBytes - n_before) return false;
  std::memcpy(shared_->kept.data() + n_before, frames.data(), frames.size());
  shared_->n_kept.store(n_before + frames.size());
  return true;
}

void AttemptBoard::forget() { shared_->n_kept.store(0); }

std::string AttemptBoard::kept() const {
  const std::uint64_t n_bytes = std::min<std::uint64_t>(shared_->n_kept.load(), kKeptBytes);
  return {shared_->kept.data(), static_cast<std::size_t>(n_bytes)};
}

}  // namespace gauntlet::worker
