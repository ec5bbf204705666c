#include "core/io/npy.hpp"

#include <fmt/ranges.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "core/io/detail/atomic_file.hpp"

namespace gauntlet::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxSides = 32;
constexpr std::size_t kAlignment = 64;  // of the data in files we write, as NumPy does

/// The three values of a header's dictionary.
struct Header {
  std::string type;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Reads the Python dictionary literal of a header: exactly the keys descr, fortran_order and shape, each
/// once.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : rest_(text) {}

  /// Nothing when the text is not such a dictionary.
  std::optional<Header> read() {
    Header header;
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    if (!take('{')) return std::nullopt;
    while (!take('}')) {
      const auto key = quoted();
      if (!key || !take(':')) return std::nullopt;
      bool understood = false;
      if (*key == "descr" && !std::exchange(has_type, true)) understood = read_type(header);
      if (*key == "fortran_order" && !std::exchange(has_order, true)) understood = read_order(header);
      if (*key == "shape" && !std::exchange(has_shape, true)) understood = read_shape(header);
      if (!understood) return std::nullopt;
      if (!take(',') && !at('}')) return std::nullopt;
    }
    skip_blanks();
    if (!rest_.empty() || !has_type || !has_order || !has_shape) return std::nullopt;
    return header;
  }

 private:
  void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }

  bool at(char wanted) {
    skip_blanks();
    return !rest_.empty() && rest_.front() == wanted;
  }

  bool take(char wanted) {
    if (!at(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool take_word(std::string_view word) {
    skip_blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::optional<std::string> quoted() {
    if (!at('\'') && !at('"')) return std::nullopt;
    const std::size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool read_type(Header& header) {
    if (at('[')) {  // a record type: a list of fields
      header.type = "record";
      rest_.remove_prefix(std::min(rest_.find(']'), rest_.size() - 1) + 1);
      return true;
    }
    const auto type = quoted();
    if (!type) return false;
    header.type = *type;
    return true;
  }

  bool read_order(Header& header) {
    header.fortran_order = take_word("True");
    return header.fortran_order || take_word("False");
  }

  bool read_shape(Header& header) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip_blanks();
      std::int64_t side = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), side);
      if (error != std::errc{} || side < 0 || header.shape.size() == kMaxSides) return false;
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      header.shape.push_back(side);
      if (!take(',') && !at(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

std::optional<DType> dtype_from(std::string_view type) {
  static constexpr std::pair<std::string_view, DType> kTypes[] = {
      {"b1", DType::kBool}, {"u1", DType::kU8},  {"i1", DType::kI8},  {"u2", DType::kU16},
      {"i2", DType::kI16},  {"u4", DType::kU32}, {"i4", DType::kI32}, {"u8", DType::kU64},
      {"i8", DType::kI64},  {"f2", DType::kF16}, {"f4", DType::kF32}, {"f8", DType::kF64}};
  if (type.size() != 3) return std::nullopt;
  for (const auto& [name, dtype] : kTypes) {
    const bool order_known = type.front() == '<' || (type.front() == '|' && size_of(dtype) == 1);
    if (type.substr(1) == name && order_known) return dtype;
  }
  return std::nullopt;
}

/// Where the dictionary lies in the file.
struct Extent {
  std::size_t begin = 0;
  std::size_t length = 0;
};

Result<Extent> header_extent(std::span<const std::byte> bytes, const std::string& path) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::kCorrupt, "{} is not a .npy file: {}", path, what);
  };
  const auto byte_at = [&](std::size_t at) { return std::to_integer<std::size_t>(bytes[at]); };
  if (bytes.size() < 10) return corrupt("it is too short for a header");
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return corrupt("it does not start with \\x93NUMPY");
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 3) {
    return fail(ErrorCode::kInvalid, "{} has .npy format version {}; versions 1 to 3 are read", path,
                version);
  }
  Extent extent{10, byte_at(8) | byte_at(9) << 8};
  if (version > 1) {
    if (bytes.size() < 12) return corrupt("it is too short for a header");
    extent = {12, extent.length | byte_at(10) << 16 | byte_at(11) << 24};
  }
  if (extent.length > kMaxHeaderBytes || extent.length > bytes.size() - extent.begin) {
    return corrupt(fmt::format("its header of {} bytes does not fit", extent.length));
  }
  return extent;
}

/// Points `array.bytes` at the data, copied when it would not be aligned in the mapping.
void place_data(NpyArray& array, std::span<const std::byte> data) {
  array.bytes = data;
  if (reinterpret_cast<std::uintptr_t>(data.data()) % size_of(array.dtype) == 0) return;
  array.aligned_copy.assign(data.begin(), data.end());
  array.bytes = array.aligned_copy;
}

}  // namespace

Result<std::string> npy_header(DType dtype, std::span<const std::int64_t> shape) {
  static constexpr std::string_view kNames[] = {"|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4",
                                                "<u8", "<i8", "<f2", "",    "<f4", "<f8"};
  const std::string_view type = kNames[static_cast<std::size_t>(dtype)];
  if (type.empty()) return fail(ErrorCode::kInvalid, "a .npy file cannot hold {}", name_of(dtype));
  if (shape.size() > kMaxSides) {
    return fail(ErrorCode::kInvalid, "an array of {} sides; a .npy file allows {}", shape.size(), kMaxSides);
  }
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                 fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const std::size_t unpadded = kMagic.size() + 4 + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text.push_back('\n');
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  return header + text;
}

Result<NpyArray> read_npy(const std::filesystem::path& path) {
  NpyArray array;
  array.path = path;
  GAUNTLET_TRY(array.file, MappedFile::open(path));
  const std::span<const std::byte> bytes = array.file.bytes();
  GAUNTLET_TRY(const Extent extent, header_extent(bytes, path.string()));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + extent.begin, extent.length);
  auto header = HeaderReader(text).read();
  if (!header)
    return fail(ErrorCode::kCorrupt, "{} is not a .npy file: its header cannot be read", path.string());
  const auto dtype = dtype_from(header->type);
  if (!dtype) {
    return fail(ErrorCode::kInvalid,
                "{} holds elements of type '{}'; little-endian b1, u1 to u8, i1 to i8, f2, f4 and f8 "
                "are read",
                path.string(), header->type);
  }
  if (header->fortran_order && header->shape.size() > 1) {
    return fail(ErrorCode::kInvalid, "{} is in Fortran order; save it in C order (numpy.ascontiguousarray)",
                path.string());
  }
  array.dtype = *dtype;
  array.shape = std::move(header->shape);
  const auto needed = checked_byte_count(array.dtype, array.shape);
  if (!needed) return fail(ErrorCode::kCorrupt, "{}: {}", path.string(), needed.error().message);
  const std::span<const std::byte> data = bytes.subspan(extent.begin + extent.length);
  if (data.size() != *needed) {
    return fail(ErrorCode::kCorrupt, "{} holds {} bytes of data; {} {} needs {}", path.string(), data.size(),
                name_of(array.dtype), shape_text(array.shape), *needed);
  }
  place_data(array, data);
  return array;
}

struct NpyWriter::State {
  detail::AtomicFile file;
  std::size_t missing;
};

NpyWriter::NpyWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
NpyWriter::NpyWriter(NpyWriter&&) noexcept = default;
NpyWriter& NpyWriter::operator=(NpyWriter&&) noexcept = default;
NpyWriter::~NpyWriter() = default;

Result<NpyWriter> NpyWriter::create(const std::filesystem::path& path, DType dtype,
                                    std::span<const std::int64_t> shape) {
  const auto count = checked_byte_count(dtype, shape);
  if (!count) return fail(ErrorCode::kInvalid, "cannot write {}: {}", path.string(), count.error().message);
  GAUNTLET_TRY(const std::string header, npy_header(dtype, shape));
  GAUNTLET_TRY(detail::AtomicFile file, detail::AtomicFile::create(path));
  GAUNTLET_CHECK_OK(file.write(std::as_bytes(std::span(header))));
  return NpyWriter(std::make_unique<State>(State{std::move(file), *count}));
}

Status NpyWriter::append(std::span<const std::byte> bytes) {
  if (bytes.size() > state_->missing) {
    return fail(ErrorCode::kInvalid, "cannot write {}: {} bytes more than its shape holds",
                state_->file.path().string(), bytes.size() - state_->missing);
  }
  GAUNTLET_CHECK_OK(state_->file.write(bytes));
  state_->missing -= bytes.size();
  return {};
}

Status NpyWriter::finish() {
  if (state_->missing != 0) {
    return fail(ErrorCode::kInvalid, "cannot write {}: {} bytes fewer than its shape holds",
                state_->file.path().string(), state_->missing);
  }
  return state_->file.commit();
}

Status write_npy(const std::filesystem::path& path, DType dtype, std::span<const std::int64_t> shape,
                 std::span<const std::byte> bytes) {
  GAUNTLET_TRY(NpyWriter writer, NpyWriter::create(path, dtype, shape));
  GAUNTLET_CHECK_OK(writer.append(bytes));
  return writer.finish();
}

}  // namespace gauntlet::io
