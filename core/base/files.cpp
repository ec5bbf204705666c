#include "core/base/files.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/descriptor.hpp"

namespace gauntlet {
namespace {

/// Closes on every path out.
Status write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(system_error(errno, "write", path));
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Error system_error(int errno_value, std::string_view doing, const std::filesystem::path& path) {
  ErrorCode code = ErrorCode::kIo;
  if (errno_value == ENOENT) code = ErrorCode::kNotFound;
  if (errno_value == ENOSPC || errno_value == EDQUOT) code = ErrorCode::kNoSpace;
  return {code, fmt::format("cannot {} {}: {}", doing, path.string(), std::strerror(errno_value))};
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return fail(system_error(errno, "read", path));
  std::string content;
  char block[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error(errno, "read", path));
    if (got == 0) return content;
    content.append(block, static_cast<std::size_t>(got));
    if (content.size() > max_bytes) {
      return fail(ErrorCode::kInvalid, "{} is larger than {} bytes, the most that is read here",
                  path.string(), max_bytes);
    }
  }
}

Status write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  static std::atomic<unsigned> counter{0};
  const std::filesystem::path temporary = fmt::format("{}.tmp{}-{}", path.string(), ::getpid(), counter++);
  const auto give_up = [&](Error error) {
    ::unlink(temporary.c_str());
    return fail(std::move(error));
  };
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return fail(system_error(errno, "write", path));
    if (Status written = write_all(file.get(), content, path); !written) return give_up(written.error());
    if (::fsync(file.get()) != 0) return give_up(system_error(errno, "write", path));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up(system_error(errno, "write", path));
  return {};
}

Status make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(system_error(error.value(), "create the folder", path));
  return {};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat about {};
  if (file.get() < 0 || ::fstat(file.get(), &about) != 0) return fail(system_error(errno, "read", path));
  if (!S_ISREG(about.st_mode)) return fail(ErrorCode::kInvalid, "{} is not a regular file", path.string());
  MappedFile mapped;
  mapped.size_ = static_cast<std::size_t>(about.st_size);
  if (mapped.size_ == 0) return mapped;
  void* const data = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) {
    mapped.size_ = 0;
    return fail(system_error(errno, "map", path));
  }
  mapped.data_ = static_cast<const std::byte*>(data);
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);  // mmap's own type
}

}  // namespace gauntlet
