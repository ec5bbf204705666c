#include "worker/executor/attempt_board.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "core/base/files.hpp"

namespace gauntlet::worker {

/// As it lies in memory; all zeros when it is empty. Both programs are of one build.
struct AttemptBoard::Shared {
  std::array<std::atomic<std::uint64_t>, kPlaces> leases;  ///< 0 = a free place
};

void AttemptBoard::Unmap::operator()(Shared* shared) const { ::munmap(shared, sizeof(Shared)); }

Result<AttemptBoard> AttemptBoard::make() {
  AttemptBoard board{Descriptor(::memfd_create("attempts", MFD_CLOEXEC | MFD_ALLOW_SEALING))};
  const int fd = board.descriptor();
  if (fd < 0 || ::ftruncate(fd, sizeof(Shared)) != 0 ||
      ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail(system_error(errno, "make", "memory to share with an executor"));
  GAUNTLET_CHECK_OK(board.map());
  return board;
}

Result<AttemptBoard> AttemptBoard::open(int fd) {
  AttemptBoard board{Descriptor(fd)};
  if (::lseek(fd, 0, SEEK_END) != static_cast<off_t>(sizeof(Shared)))
    return fail(ErrorCode::kIo, "descriptor {} is not the memory that an agent shares", fd);
  GAUNTLET_CHECK_OK(board.map());
  board.close_descriptor();
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

}  // namespace gauntlet::worker
