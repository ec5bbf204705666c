#include "core/io/mat5.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/io/detail/char_rows.hpp"
#include "core/io/detail/mat5_elements.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::io {
namespace {

using detail::Element;
using detail::MatrixHeader;
using detail::RandomFile;
using detail::ReadAt;

constexpr std::uint64_t kFileHeaderBytes = 128;
constexpr std::size_t kHeadBytes = std::size_t{1} << 14;  ///< of a packed variable, unpacked to list it
/// zlib's best case: no stream unpacks to more than 1,032 times its length.
constexpr std::uint64_t kMostPacking = 1032;

/// Where a variable is.
struct Variable {
  bool is_packed = false;
  Element outer;                 ///< in the file: the array, or the packed stream
  std::uint64_t n_unpacked = 0;  ///< with its tag
  MatrixHeader header;           ///< offsets: in the file, or in the unpacked bytes
};

ReadAt reader_of(const RandomFile& file) {
  return [&file](std::uint64_t offset, std::span<std::byte> out) { return file.read_at(offset, out); };
}

std::string class_name(std::uint8_t array_class) {
  static constexpr std::string_view kNames[] = {"",    "cell", "struct", "object", "char", "sparse",
                                                "f64", "f32",  "i8",     "u8",     "i16",  "u16",
                                                "i32", "u32",  "i64",    "u64"};
  return array_class < std::size(kNames) ? std::string(kNames[array_class])
                                         : fmt::format("class {}", array_class);
}

/// How a variable looks from outside.
ArrayInfo describe(const MatrixHeader& header) {
  ArrayInfo info;
  info.name = header.name;
  info.is_matlab = true;
  info.type = header.is_logical ? "logical" : class_name(header.array_class);
  info.dims.assign(header.size.rbegin(), header.size.rend());
  if (header.array_class == detail::kCharClass || header.array_class == detail::kCellClass) {
    info.content = Content::kTexts;
    return info;
  }
  const auto dtype = detail::dtype_of_tag(header.data.type);
  if (header.array_class < detail::kDoubleClass || header.array_class > detail::kUInt64Class || !dtype) {
    info.content = Content::kOther;
    info.refusal = header.array_class == detail::kSparseClass
                       ? "is sparse; save it as full(…)"
                       : fmt::format("is of MATLAB's {}, which is not read", info.type);
    return info;
  }
  info.dtype = *dtype;
  if (name_of(*dtype) != info.type && !header.is_logical)
    info.type += fmt::format(" stored as {}", name_of(*dtype));
  if (header.is_complex) info.refusal = "holds complex numbers";
  if (info.dims.size() > kMaxArraySides)
    info.refusal = fmt::format("has {} sides; at most {} are read", info.dims.size(), kMaxArraySides);
  return info;
}

/// Chars of any storage as code units, as many as the size says.
Result<std::vector<char32_t>> read_chars(const ReadAt& read, const MatrixHeader& header) {
  std::int64_t n = 1;
  for (const std::int64_t side : header.size) n *= side;
  if (n > kMaxTextChars)
    return fail(ErrorCode::kInvalid, "{} characters; at most {} are read", n, kMaxTextChars);
  if (header.data.n_bytes > static_cast<std::uint64_t>(kMaxTextChars) * 4)
    return fail(ErrorCode::kCorrupt, "{} bytes for {} characters", header.data.n_bytes, n);
  std::string bytes(header.data.n_bytes, '\0');
  GAUNTLET_CHECK_OK(read(header.data.begin, std::as_writable_bytes(std::span(bytes))));
  if (header.data.type == detail::kMiUtf8) {
    auto points = decode_utf8(bytes);
    if (points && static_cast<std::int64_t>(points->size()) == n) return std::move(*points);
    // Some writers count bytes, not characters; then a character lies across rows and nothing can be told.
    return fail(ErrorCode::kCorrupt, "its text is not UTF-8 of {} characters", n);
  }
  const std::size_t width = bytes.empty() ? 1 : bytes.size() / static_cast<std::size_t>(n);
  std::vector<char32_t> units(static_cast<std::size_t>(n));
  for (std::size_t at = 0; at < units.size(); ++at) {
    std::uint32_t unit = 0;
    std::memcpy(&unit, bytes.data() + at * width, std::min<std::size_t>(width, sizeof unit));
    units[at] = unit;
  }
  return units;
}

/// The strings of one cell: rows of its chars; an empty array is one empty string.
Result<std::vector<std::string>> read_cell(const ReadAt& read, const Element& element) {
  if (element.type != detail::kMiMatrix) return fail(ErrorCode::kCorrupt, "holds no array");
  if (element.n_bytes == 0) return std::vector<std::string>{""};
  GAUNTLET_TRY(const MatrixHeader header, detail::read_matrix_header(read, element));
  const bool is_empty = std::ranges::find(header.size, 0) != header.size.end();
  if (is_empty) return std::vector<std::string>{""};
  if (header.array_class != detail::kCharClass)
    return fail(ErrorCode::kInvalid, "holds {}, not chars", class_name(header.array_class));
  GAUNTLET_TRY(const auto units, read_chars(read, header));
  GAUNTLET_TRY(Texts rows, detail::strings_of_chars(units, header.size));
  std::vector<std::string> strings;
  for (auto& row : rows) {
    for (std::string& text : row) strings.push_back(std::move(text));
  }
  return strings;
}

Result<Texts> read_cells(const ReadAt& read, const MatrixHeader& header) {
  std::int64_t n_cells = 1;
  for (const std::int64_t side : header.size) n_cells *= side;
  if (n_cells > kMaxTexts || static_cast<std::uint64_t>(n_cells) > header.data.n_bytes / 8)
    return fail(ErrorCode::kCorrupt, "{} cells in {} bytes", n_cells, header.data.n_bytes);
  if (header.size.size() != 2)
    return fail(ErrorCode::kInvalid, "cells of size {} are not read; 2 sides are", shape_text(header.size));
  const bool is_vector = header.size[0] == 1 || header.size[1] == 1;
  const auto n_items = static_cast<std::size_t>(is_vector ? n_cells : header.size[0]);
  Texts texts(n_items);
  std::uint64_t at = header.data.begin;
  std::int64_t n_chars = 0;
  std::int64_t n_strings = 0;
  for (std::int64_t cell = 0; cell < n_cells; ++cell) {
    const auto strings = [&]() -> Result<std::vector<std::string>> {
      GAUNTLET_TRY(const Element element, detail::read_element(read, at, header.data.next));
      at = element.next;
      return read_cell(read, element);
    }();
    if (!strings) return fail(strings.error().code, "cell {} {}", cell + 1, strings.error().message);
    for (const std::string& text : *strings) {
      n_chars += static_cast<std::int64_t>(text.size());
      ++n_strings;
      texts[static_cast<std::size_t>(cell) % n_items].push_back(text);
    }
    if (n_chars > kMaxTextChars || n_strings > kMaxTexts)
      return fail(ErrorCode::kInvalid, "more than {} characters or {} strings", kMaxTextChars, kMaxTexts);
  }
  return texts;
}

class Mat5 final : public Container {
 public:
  Mat5(const std::filesystem::path& path, RandomFile file, std::filesystem::path scratch)
      : Container(ContainerKind::kMat5, path), file_(std::move(file)), scratch_(std::move(scratch)) {}

  Status list() {
    GAUNTLET_CHECK_OK(check_header());
    std::set<std::string> seen;
    const ReadAt read = reader_of(file_);
    for (std::uint64_t at = kFileHeaderBytes; at < file_.size();) {
      GAUNTLET_TRY(const Element element, in_file(detail::read_element(read, at, file_.size())));
      at = element.next;
      if (element.type != detail::kMiMatrix && element.type != detail::kMiCompressed) {
        return fail(ErrorCode::kCorrupt, "{}: an element of type {} where a variable should start",
                    path().string(), element.type);
      }
      if (arrays_.size() == kMaxArrays)
        return fail(ErrorCode::kInvalid, "{} holds more than {} variables", path().string(), kMaxArrays);
      GAUNTLET_TRY(Variable variable, in_file(read_variable(element)));
      if (variable.header.name.empty()) continue;  // what MATLAB keeps for itself
      if (!is_utf8(variable.header.name)) {
        return fail(ErrorCode::kInvalid, "{}: the name '{}' is not UTF-8", path().string(),
                    printable(variable.header.name));
      }
      if (!seen.insert(variable.header.name).second)
        return fail(ErrorCode::kCorrupt, "{} holds {} twice", path().string(), variable.header.name);
      arrays_.push_back(describe(variable.header));
      variables_.push_back(std::move(variable));
    }
    return {};
  }

 private:
  template <class T>
  Result<T> in_file(Result<T> result) const {
    if (!result) return fail(result.error().code, "{}: {}", path().string(), result.error().message);
    return result;
  }

  Status check_header() {
    std::string header(kFileHeaderBytes, '\0');
    if (file_.size() < header.size())
      return fail(ErrorCode::kCorrupt, "{} is too short for a MAT-file", path().string());
    GAUNTLET_CHECK_OK(file_.read_at(0, std::as_writable_bytes(std::span(header))));
    if (header.starts_with("MATLAB 7.3")) {
      return fail(ErrorCode::kInvalid, "{} is a MATLAB 7.3 file: HDF5, not v5", path().string());
    }
    if (!header.starts_with("MATLAB 5.0"))
      return fail(ErrorCode::kCorrupt, "{} is no MAT-file of version 5", path().string());
    const std::string_view order = std::string_view(header).substr(126, 2);
    if (order == "MI")
      return fail(ErrorCode::kInvalid, "{} is big-endian; save it on a little-endian machine",
                  path().string());
    if (order != "IM") return fail(ErrorCode::kCorrupt, "{} names no byte order", path().string());
    return {};
  }

  Result<Variable> read_variable(const Element& outer) const {
    Variable variable;
    variable.outer = outer;
    variable.is_packed = outer.type == detail::kMiCompressed;
    if (!variable.is_packed) {
      GAUNTLET_TRY(variable.header, detail::read_matrix_header(reader_of(file_), outer));
      return variable;
    }
    std::vector<std::byte> head;
    GAUNTLET_CHECK_OK(
        detail::unpack(file_, outer.begin, outer.n_bytes, [&](std::span<const std::byte> piece) {
          head.insert(head.end(), piece.begin(), piece.end());
          return Result<bool>(head.size() < kHeadBytes);
        }));
    const ReadAt read = [&head](std::uint64_t offset, std::span<std::byte> out) -> Status {
      if (offset > head.size() || out.size() > head.size() - offset)
        return fail(ErrorCode::kCorrupt, "a packed variable's header ends in the middle");
      std::memcpy(out.data(), head.data() + offset, out.size());
      return {};
    };
    const std::uint64_t n_most = outer.n_bytes * kMostPacking + kHeadBytes;
    GAUNTLET_TRY(const Element matrix, detail::read_element(read, 0, std::uint64_t{8} + 0xFFFFFFFFU));
    if (matrix.type != detail::kMiMatrix)
      return fail(ErrorCode::kCorrupt, "a packed element of type {}, not an array", matrix.type);
    variable.n_unpacked = matrix.begin + matrix.n_bytes;
    if (variable.n_unpacked > n_most) {
      return fail(ErrorCode::kCorrupt, "a variable of {} packed bytes declares {}; zlib reaches at most {}",
                  outer.n_bytes, variable.n_unpacked, n_most);
    }
    GAUNTLET_TRY(variable.header, detail::read_matrix_header(read, matrix));
    return variable;
  }

  /// The file that `header`'s offsets are in; a packed variable is unpacked the first time.
  Result<const RandomFile*> bytes_of(std::size_t index) {
    const Variable& variable = variables_[index];
    if (!variable.is_packed) return &file_;
    const auto found = unpacked_.find(index);
    if (found != unpacked_.end()) return &found->second;
    GAUNTLET_TRY(RandomFile file, RandomFile::temporary(scratch_));
    const Status done =
        detail::unpack(file_, variable.outer.begin, variable.outer.n_bytes,
                       [&](std::span<const std::byte> piece) -> Result<bool> {
                         GAUNTLET_CHECK_OK(file.append(piece));
                         if (file.size() > variable.n_unpacked + 8)
                           return fail(ErrorCode::kCorrupt, "more is packed than the {} bytes declared",
                                       variable.n_unpacked);
                         return true;
                       });
    if (!done)
      return fail(done.error().code, "{}: {}: {}", path().string(), variable.header.name,
                  done.error().message);
    if (file.size() < variable.n_unpacked) {
      return fail(ErrorCode::kCorrupt, "{}: {} unpacks to {} bytes; it declares {}", path().string(),
                  variable.header.name, file.size(), variable.n_unpacked);
    }
    return &unpacked_.emplace(index, std::move(file)).first->second;
  }

  template <class T>
  Status read_any(std::size_t index, const Slab& slab, std::span<T> out) {
    GAUNTLET_TRY(const RandomFile* file, bytes_of(index));
    const ArrayInfo& info = arrays_[index];
    return detail::read_slab({file, variables_[index].header.data.begin, info.dtype, info.dims}, slab, out);
  }

  Status read_floats(std::size_t index, const Slab& slab, std::span<float> out) override {
    return read_any(index, slab, out);
  }
  Status read_bytes(std::size_t index, const Slab& slab, std::span<std::uint8_t> out) override {
    return read_any(index, slab, out);
  }

  Result<Texts> read_texts(std::size_t index) override {
    GAUNTLET_TRY(const RandomFile* file, bytes_of(index));
    const ReadAt read = reader_of(*file);
    const MatrixHeader& header = variables_[index].header;
    auto texts = [&]() -> Result<Texts> {
      if (header.array_class == detail::kCellClass) return read_cells(read, header);
      GAUNTLET_TRY(const auto units, read_chars(read, header));
      return detail::strings_of_chars(units, header.size);
    }();
    if (!texts)
      return fail(texts.error().code, "{}: {}: {}", path().string(), header.name, texts.error().message);
    return texts;
  }

  RandomFile file_;
  std::filesystem::path scratch_;
  std::vector<Variable> variables_;
  std::map<std::size_t, RandomFile> unpacked_;
};

}  // namespace

Result<std::unique_ptr<Container>> open_mat5(const std::filesystem::path& path,
                                             const std::filesystem::path& scratch) {
  GAUNTLET_TRY(RandomFile file, RandomFile::open(path));
  auto container = std::make_unique<Mat5>(path, std::move(file), scratch);
  GAUNTLET_CHECK_OK(container->list());
  return container;
}

}  // namespace gauntlet::io
