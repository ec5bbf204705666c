#include "core/base/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/files.hpp"

namespace gauntlet {
namespace {

/// Holes begin and end at multiples of this, so that whole blocks of any file system become free.
constexpr std::uint64_t kAlign = std::uint64_t{64} << 10;
constexpr std::uint64_t kLeastLimit = std::uint64_t{1} << 20;

class OpenFile {
 public:
  OpenFile(const std::filesystem::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// Always of the same length, so that a later one can stand in its place.
std::string mark(std::uint64_t begin, std::uint64_t end) {
  return fmt::format("\n[gauntlet: the log was too long; bytes {:>15} to {:>15} are gone]\n", begin, end);
}

std::uint64_t allocated_bytes(const struct stat& about) {
  return static_cast<std::uint64_t>(about.st_blocks) * 512;
}

}  // namespace

std::filesystem::path attempt_log(const std::filesystem::path& workdir, std::string_view key_hex,
                                  std::uint64_t attempt) {
  return workdir / "logs" / key_hex / fmt::format("{}.log", attempt);
}

std::filesystem::path events_beside(const std::filesystem::path& log) { return log.string() + ".events"; }

Result<LogPart> read_log(const std::filesystem::path& log, std::uint64_t offset, std::size_t max_bytes) {
  const OpenFile file(log, O_RDONLY);
  struct stat about {};
  if (file.get() < 0 || ::fstat(file.get(), &about) != 0) return fail(system_error(errno, "read", log));
  const auto size = static_cast<std::uint64_t>(about.st_size);
  LogPart part;
  part.next = std::min(offset, size);
  // Where holes are not known, all of the file is data.
  const off_t data = ::lseek(file.get(), static_cast<off_t>(part.next), SEEK_DATA);
  if (data >= 0) {
    part.next = static_cast<std::uint64_t>(data);
  } else if (errno == ENXIO) {
    part.next = size;
  }
  const off_t hole = ::lseek(file.get(), static_cast<off_t>(part.next), SEEK_HOLE);
  const std::uint64_t end = hole >= 0 ? static_cast<std::uint64_t>(hole) : size;
  part.bytes.resize(
      static_cast<std::size_t>(std::min<std::uint64_t>(max_bytes, end - std::min(end, part.next))));
  ssize_t got = 0;
  do {
    got = ::pread(file.get(), part.bytes.data(), part.bytes.size(), static_cast<off_t>(part.next));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return fail(system_error(errno, "read", log));
  part.bytes.resize(static_cast<std::size_t>(got));
  part.next += static_cast<std::uint64_t>(got);
  part.at_end = part.next >= size;
  return part;
}

Result<bool> limit_log(const std::filesystem::path& log, std::uint64_t limit_bytes) {
  const std::uint64_t limit = std::max(limit_bytes, kLeastLimit);
  struct stat about {};
  // Asked about once a second: a log that is not there yet, or short, costs one call.
  if (::stat(log.c_str(), &about) != 0 || allocated_bytes(about) <= limit) return false;
  const auto size = static_cast<std::uint64_t>(about.st_size);
  const std::uint64_t begin = (limit / 4 + kAlign - 1) / kAlign * kAlign;
  const std::uint64_t end = size > limit / 2 ? (size - limit / 2) / kAlign * kAlign : 0;
  if (end <= begin) return false;  // preallocated blocks
  const OpenFile file(log, O_WRONLY);
  if (file.get() < 0) return fail(system_error(errno, "shorten", log));
  const std::string line = mark(begin, end);
  const auto place = static_cast<off_t>(begin - line.size());
  if (::pwrite(file.get(), line.data(), line.size(), place) < 0)
    return fail(system_error(errno, "shorten", log));
  if (::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                  static_cast<off_t>(end - begin)) == 0)
    return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return fail(system_error(errno, "shorten", log));
  const std::string all_gone = mark(begin, size);
  if (::pwrite(file.get(), all_gone.data(), all_gone.size(), place) < 0 ||
      ::ftruncate(file.get(), static_cast<off_t>(begin)) != 0)
    return fail(system_error(errno, "shorten", log));
  return true;
}

}  // namespace gauntlet
