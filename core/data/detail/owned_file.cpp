#include "core/data/detail/owned_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/text.hpp"

namespace gauntlet::data::detail {

Result<OwnedFile> OwnedFile::temporary(const std::filesystem::path& folder, std::int64_t n_bytes) {
  std::error_code error;
  OwnedFile file;
  file.folder_ = folder.empty() ? std::filesystem::temp_directory_path(error) : folder;
  const auto room = std::filesystem::space(file.folder_, error);
  if (!error && room.available < static_cast<std::uintmax_t>(n_bytes)) {
    return fail(ErrorCode::kNoSpace, "turning the array round needs {} in {}; {} are free",
                human_bytes(static_cast<std::uint64_t>(n_bytes)), file.folder_.string(),
                human_bytes(room.available));
  }
  std::string pattern = (file.folder_ / ".turned-XXXXXX").string();
  file.descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (file.descriptor_ < 0) return fail(system_error(errno, "write", file.folder_));
  ::unlink(pattern.c_str());
  return file;
}

OwnedFile::OwnedFile(OwnedFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), folder_(std::move(other.folder_)) {}

OwnedFile& OwnedFile::operator=(OwnedFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(folder_, other.folder_);
  return *this;
}

OwnedFile::~OwnedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status OwnedFile::write_at(std::int64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(system_error(errno, "write", folder_));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Status OwnedFile::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(system_error(n < 0 ? errno : EIO, "read", folder_));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

}  // namespace gauntlet::data::detail
