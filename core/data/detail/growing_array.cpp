#include "core/data/detail/growing_array.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/files.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kReadBytes = std::size_t{4} << 20;

/// Writes everything at `offset`, or says why not.
Status write_at(int descriptor, std::span<const std::byte> bytes, std::int64_t offset,
                const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(system_error(errno, "write", path));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
  return {};
}

/// Bytes read at `offset`; fewer than asked for at the end of the file.
Result<std::size_t> read_at(int descriptor, std::span<std::byte> bytes, std::int64_t offset,
                            const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(descriptor, bytes.data() + done, bytes.size() - done,
                                offset + static_cast<std::int64_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error(errno, "read", path));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace

OwnedDescriptor::OwnedDescriptor(OwnedDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

OwnedDescriptor& OwnedDescriptor::operator=(OwnedDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

OwnedDescriptor::~OwnedDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<GrowingArray> GrowingArray::open(const std::filesystem::path& path, io::DType dtype,
                                        std::vector<std::int64_t> row_shape) {
  GrowingArray array;
  array.path_ = path;
  array.part_ = path.string() + ".part";
  array.dtype_ = dtype;
  GAUNTLET_TRY(const std::size_t row_bytes, io::checked_byte_count(dtype, row_shape));
  array.row_bytes_ = static_cast<std::int64_t>(row_bytes);
  array.row_shape_ = std::move(row_shape);
  array.hash_ = std::make_unique<Sha256>();
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) std::filesystem::rename(path, array.part_, ignored);
  array.file_ = OwnedDescriptor(::open(array.part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (array.file_.get() < 0) return fail(system_error(errno, "write", path));
  return array;
}

Status GrowingArray::append(std::span<const std::byte> bytes) {
  GAUNTLET_CHECK_OK(write_at(file_.get(), bytes, kArrayHeaderBytes + n_rows_ * row_bytes_, path_));
  keep(bytes);
  return {};
}

Result<std::vector<std::byte>> GrowingArray::peek(std::int64_t n_rows) const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(n_rows * row_bytes_));
  GAUNTLET_TRY(const std::size_t got,
               read_at(file_.get(), bytes, kArrayHeaderBytes + n_rows_ * row_bytes_, path_));
  if (got < bytes.size()) bytes.clear();
  return bytes;
}

void GrowingArray::keep(std::span<const std::byte> bytes) {
  hash_->update(bytes);
  n_rows_ += static_cast<std::int64_t>(bytes.size()) / row_bytes_;
}

Status GrowingArray::cut() {
  if (::ftruncate(file_.get(), kArrayHeaderBytes + n_rows_ * row_bytes_) == 0) return {};
  return fail(system_error(errno, "write", path_));
}

Status GrowingArray::reserve(std::int64_t n_rows) {
  const int error = ::posix_fallocate(file_.get(), 0, kArrayHeaderBytes + n_rows * row_bytes_);
  if (error != 0) return fail(system_error(error, "write", path_));
  return {};
}

Status GrowingArray::adopt(std::int64_t n_rows) {
  std::vector<std::byte> block(kReadBytes);
  const std::int64_t end = kArrayHeaderBytes + (n_rows_ + n_rows) * row_bytes_;
  for (std::int64_t at = kArrayHeaderBytes + n_rows_ * row_bytes_; at < end;) {
    const auto wanted = std::min(static_cast<std::int64_t>(block.size()), end - at);
    const auto piece = std::span(block).first(static_cast<std::size_t>(wanted));
    GAUNTLET_TRY(const std::size_t got, read_at(file_.get(), piece, at, path_));
    if (got < piece.size()) {
      return fail(ErrorCode::kCorrupt, "{} became shorter while it was written", path_.string());
    }
    hash_->update(piece);
    at += wanted;
  }
  n_rows_ += n_rows;
  return {};
}

Result<std::string> GrowingArray::seal() {
  std::vector<std::int64_t> shape = {n_rows_};
  shape.insert(shape.end(), row_shape_.begin(), row_shape_.end());
  GAUNTLET_TRY(const std::string header, io::npy_header(dtype_, shape));
  if (header.size() != kArrayHeaderBytes) {
    return fail(ErrorCode::kInvalid, "cannot write {}: an array of {}", path_.string(),
                io::shape_text(shape));
  }
  GAUNTLET_CHECK_OK(cut());
  GAUNTLET_CHECK_OK(write_at(file_.get(), std::as_bytes(std::span(header)), 0, path_));
  if (::fsync(file_.get()) != 0) return fail(system_error(errno, "write", path_));
  return to_hex(hash_->finish());
}

Status GrowingArray::publish() {
  if (::rename(part_.c_str(), path_.c_str()) != 0) return fail(system_error(errno, "write", path_));
  return {};
}

}  // namespace gauntlet::data::detail
