#include "core/collective/detail/shared_region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace gauntlet::collective {
namespace {

constexpr std::size_t kCacheLine = 64;

std::uint64_t number_by_chance() {
  std::uint64_t number = 0;
  const bool drawn = ::getrandom(&number, sizeof number, 0) == sizeof number;
  return drawn ? number
               : static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace

struct alignas(kCacheLine) SharedRegion::Head {
  std::uint64_t number;  ///< drawn by chance
};

std::size_t SharedRegion::n_mapped() const { return sizeof(Head) + n_bytes_; }

std::byte* SharedRegion::memory() const { return head_ + sizeof(Head); }

Status SharedRegion::map() {
  void* memory = ::mmap(nullptr, n_mapped(), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (memory == MAP_FAILED)
    return fail(ErrorCode::kIo, "shared memory of {} bytes cannot be mapped: {}", n_bytes_,
                std::strerror(errno));
  head_ = static_cast<std::byte*>(memory);
  return {};
}

Result<std::unique_ptr<SharedRegion>> SharedRegion::create(std::size_t n_bytes) {
  std::unique_ptr<SharedRegion> region(new SharedRegion(n_bytes));
  region->file_ = Descriptor(::memfd_create("gauntlet-gang", MFD_CLOEXEC));
  if (region->file_.get() < 0 ||
      ::ftruncate(region->file_.get(), static_cast<off_t>(region->n_mapped())) != 0)
    return fail(ErrorCode::kIo, "no shared memory of {} bytes can be made: {}", n_bytes,
                std::strerror(errno));
  GAUNTLET_CHECK_OK(region->map());
  reinterpret_cast<Head*>(region->head_)->number = number_by_chance();
  return region;
}

Result<std::unique_ptr<SharedRegion>> SharedRegion::open(const std::string& address, std::size_t n_bytes) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kUnreachable, "the memory of another process ({}) is not seen: {}", address, why);
  };
  int process = 0, descriptor = 0;
  unsigned long long number = 0;
  if (std::sscanf(address.c_str(), "%d/%d/%llu", &process, &descriptor, &number) != 3)
    return refuse("no address");
  std::unique_ptr<SharedRegion> region(new SharedRegion(n_bytes));
  const std::string path = fmt::format("/proc/{}/fd/{}", process, descriptor);
  struct stat found = {};
  // What the path means on another machine may be anything, a pipe or a device among them.
  if (::stat(path.c_str(), &found) != 0) return refuse(std::strerror(errno));
  if (!S_ISREG(found.st_mode) || found.st_size != static_cast<off_t>(region->n_mapped()))
    return refuse("something else is there");
  region->file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  Head head = {};
  if (::pread(region->file_.get(), &head, sizeof head, 0) != sizeof head || head.number != number)
    return refuse("something else is there");
  GAUNTLET_CHECK_OK(region->map());
  return region;
}

SharedRegion::~SharedRegion() {
  if (head_ != nullptr) ::munmap(head_, n_mapped());
}

std::string SharedRegion::address() const {
  return fmt::format("{}/{}/{}", ::getpid(), file_.get(), reinterpret_cast<const Head*>(head_)->number);
}

}  // namespace gauntlet::collective
