#include "core/io/detail/random_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/files.hpp"

namespace gauntlet::io::detail {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

template <class Stored>
void to_floats(std::span<const std::byte> bytes, std::span<float> out) {
  for (std::size_t at = 0; at < out.size(); ++at) {
    Stored value;
    std::memcpy(&value, bytes.data() + at * sizeof(Stored), sizeof(Stored));
    out[at] = static_cast<float>(value);
  }
}

float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0) {
    const float tiny = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -tiny : tiny;
  }
  const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

void halves_to_floats(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  for (std::size_t at = 0; at < out.size(); ++at) {
    std::uint16_t value = 0;
    std::memcpy(&value, bytes.data() + at * 2, 2);
    out[at] = dtype == DType::kF16 ? from_half(value)
                                   : std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
  }
}

/// Double to float may leave float's range: that is infinite here, and named by whoever wants finite numbers.
void doubles_to_floats(std::span<const std::byte> bytes, std::span<float> out) {
  for (std::size_t at = 0; at < out.size(); ++at) {
    double value = 0;
    std::memcpy(&value, bytes.data() + at * sizeof value, sizeof value);
    constexpr double kMost = std::numeric_limits<float>::max();
    const float infinite = std::numeric_limits<float>::infinity();
    out[at] = value > kMost ? infinite : value < -kMost ? -infinite : static_cast<float>(value);
  }
}

void convert(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  switch (dtype) {
    case DType::kBool:
    case DType::kU8:
      return to_floats<std::uint8_t>(bytes, out);
    case DType::kI8:
      return to_floats<std::int8_t>(bytes, out);
    case DType::kU16:
      return to_floats<std::uint16_t>(bytes, out);
    case DType::kI16:
      return to_floats<std::int16_t>(bytes, out);
    case DType::kU32:
      return to_floats<std::uint32_t>(bytes, out);
    case DType::kI32:
      return to_floats<std::int32_t>(bytes, out);
    case DType::kU64:
      return to_floats<std::uint64_t>(bytes, out);
    case DType::kI64:
      return to_floats<std::int64_t>(bytes, out);
    case DType::kF16:
    case DType::kBF16:
      return halves_to_floats(dtype, bytes, out);
    case DType::kF32:
      return to_floats<float>(bytes, out);
    case DType::kF64:
      return doubles_to_floats(bytes, out);
  }
}

/// Calls `run(offset of the first element, number of elements)` for every contiguous run of the slab, in
/// order.
Status for_each_run(std::span<const std::int64_t> dims, const Slab& slab, const auto& run) {
  const std::size_t n_sides = dims.size();
  std::size_t outer = n_sides;  // sides [outer, n) are read whole, so one run spans them
  std::int64_t length = 1;
  while (outer > 0) {
    length *= slab.count[--outer];
    if (slab.count[outer] != dims[outer]) break;
  }
  if (length == 0) return {};
  std::vector<std::int64_t> at(slab.start);
  while (true) {
    std::int64_t offset = 0;
    for (std::size_t side = 0; side < n_sides; ++side) offset = offset * dims[side] + at[side];
    GAUNTLET_CHECK_OK(run(static_cast<std::uint64_t>(offset), static_cast<std::size_t>(length)));
    std::size_t side = outer;
    while (side > 0 && ++at[side - 1] == slab.start[side - 1] + slab.count[side - 1]) {
      at[side - 1] = slab.start[side - 1];
      --side;
    }
    if (side == 0) return {};
  }
}

}  // namespace

Result<RandomFile> RandomFile::open(const std::filesystem::path& path) {
  RandomFile file;
  file.path_ = path;
  file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.descriptor_ < 0) return fail(system_error(errno, "read", path));
  struct stat facts {};
  if (::fstat(file.descriptor_, &facts) != 0) return fail(system_error(errno, "read", path));
  if (!S_ISREG(facts.st_mode)) return fail(ErrorCode::kIo, "{} is not an ordinary file", path.string());
  file.size_ = static_cast<std::uint64_t>(facts.st_size);
  return file;
}

Result<RandomFile> RandomFile::temporary(const std::filesystem::path& folder) {
  RandomFile file;
  std::error_code error;
  const std::filesystem::path where = folder.empty() ? std::filesystem::temp_directory_path(error) : folder;
  std::string pattern = (where / ".unpacked-XXXXXX").string();
  file.descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (file.descriptor_ < 0) return fail(system_error(errno, "write", where));
  file.path_ = pattern;
  ::unlink(pattern.c_str());
  return file;
}

RandomFile::RandomFile(RandomFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), path_(std::move(other.path_)) {}

RandomFile& RandomFile::operator=(RandomFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

RandomFile::~RandomFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status RandomFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kCorrupt, "{} ends at byte {}, inside what it declares", path_.string(), size_);
  }
  while (!out.empty()) {
    const ssize_t n_read = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n_read < 0 && errno == EINTR) continue;
    if (n_read < 0) return fail(system_error(errno, "read", path_));
    if (n_read == 0) return fail(ErrorCode::kCorrupt, "{} became shorter while it was read", path_.string());
    offset += static_cast<std::uint64_t>(n_read);
    out = out.subspan(static_cast<std::size_t>(n_read));
  }
  return {};
}

Status RandomFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n_written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written < 0) return fail(system_error(errno, "write", path_));
    size_ += static_cast<std::uint64_t>(n_written);
    bytes = bytes.subspan(static_cast<std::size_t>(n_written));
  }
  return {};
}

Status read_slab(const FileArray& array, const Slab& slab, std::span<float> out) {
  const std::size_t size = size_of(array.dtype);
  std::vector<std::byte> piece;
  return for_each_run(array.dims, slab, [&](std::uint64_t first, std::size_t n) -> Status {
    while (n > 0) {
      const std::size_t n_here = std::min(n, kPieceBytes / size);
      piece.resize(n_here * size);
      GAUNTLET_CHECK_OK(array.file->read_at(array.offset + first * size, piece));
      convert(array.dtype, piece, out.first(n_here));
      out = out.subspan(n_here);
      first += n_here;
      n -= n_here;
    }
    return {};
  });
}

Status read_slab(const FileArray& array, const Slab& slab, std::span<std::uint8_t> out) {
  return for_each_run(array.dims, slab, [&](std::uint64_t first, std::size_t n) -> Status {
    GAUNTLET_CHECK_OK(array.file->read_at(array.offset + first, std::as_writable_bytes(out.first(n))));
    out = out.subspan(n);
    return {};
  });
}

}  // namespace gauntlet::io::detail
