// Files that hold named arrays, whatever their format: one way to list them and to read parts of them.
//
// Shapes are in C order everywhere: the last side is the fastest. Arrays that MATLAB wrote are column-major,
// so their `dims` are MATLAB's size reversed, in MAT v5 as in MAT v7.3: a MATLAB matrix of n x D has dims [D,
// n]. Thread safety: a container belongs to one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/dtype.hpp"

namespace gauntlet::io {

enum class ContainerKind : std::uint8_t { kNpy, kSafetensors, kMat5, kMat73, kHdf5, kList };
/// ".npy", ".safetensors", "MAT v5", "MAT v7.3 (HDF5)", "HDF5", "list of paths and labels"
[[nodiscard]] std::string_view name_of(ContainerKind kind);

enum class Content : std::uint8_t {
  kNumbers,
  kTexts,  ///< strings: `texts` reads them
  kOther,  ///< cannot be read; `refusal` says why
};

struct ArrayInfo {
  std::string name;
  Content content = Content::kNumbers;
  DType dtype = DType::kU8;         ///< of numbers, as they lie in the file
  std::string type;                 ///< in words: "u8", "f64 stored as u8", "char", "cell"
  std::vector<std::int64_t> dims;   ///< C order
  bool is_matlab = false;           ///< MATLAB shows `dims` reversed
  std::vector<std::int64_t> chunk;  ///< C order; empty when the array lies in one piece
  std::string refusal;              ///< one sentence; empty when it can be read

  [[nodiscard]] std::int64_t n_elements() const;
};

/// A box inside an array: as many numbers as it has sides.
struct Slab {
  std::vector<std::int64_t> start;
  std::vector<std::int64_t> count;
};

/// Per item one or more strings, UTF-8, blanks and NULs at their ends cut.
using Texts = std::vector<std::vector<std::string>>;

/// No array of strings is read that has more characters, or more strings, than these.
inline constexpr std::int64_t kMaxTextChars = std::int64_t{1} << 25;
inline constexpr std::int64_t kMaxTexts = std::int64_t{1} << 21;
/// Nor is a container listed that has more arrays or an array with more sides than these.
inline constexpr std::size_t kMaxArrays = 10'000;
inline constexpr std::size_t kMaxArraySides = 8;

class Container {
 public:
  virtual ~Container() = default;
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  [[nodiscard]] ContainerKind kind() const { return kind_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const std::vector<ArrayInfo>& arrays() const { return arrays_; }
  /// Null when there is none of that name.
  [[nodiscard]] const ArrayInfo* find(std::string_view name) const;

  /// Numbers of a slab in C order, converted to float. `array` is one of `arrays()`. Errors: kInvalid (no
  /// numbers, refused, outside the array, `out` of another size), kCorrupt, kIo, with file and array.
  [[nodiscard]] Status read(const ArrayInfo& array, const Slab& slab, std::span<float> out);
  /// The same for arrays of u8 and bool only.
  [[nodiscard]] Status read(const ArrayInfo& array, const Slab& slab, std::span<std::uint8_t> out);

  /// All strings. A char matrix of n rows gives n items of one string; n x m x L chars give n items of m; a
  /// cell row or column gives one item per cell (its rows); a cell matrix one item per row. Errors: kInvalid
  /// (no strings, more than kMaxTextChars or kMaxTexts), kCorrupt, kIo.
  [[nodiscard]] Result<Texts> texts(const ArrayInfo& array);

 protected:
  Container(ContainerKind kind, std::filesystem::path path) : kind_(kind), path_(std::move(path)) {}

  /// `index` into `arrays_`; the slab is inside and `out` fits.
  [[nodiscard]] virtual Status read_floats(std::size_t index, const Slab& slab, std::span<float> out) = 0;
  [[nodiscard]] virtual Status read_bytes(std::size_t index, const Slab& slab,
                                          std::span<std::uint8_t> out) = 0;
  [[nodiscard]] virtual Result<Texts> read_texts(std::size_t index) = 0;

  std::vector<ArrayInfo> arrays_;

 private:
  Status check_slab(const ArrayInfo& array, const Slab& slab, std::size_t n_out) const;

  ContainerKind kind_;
  std::filesystem::path path_;
  std::mutex mutex_;
};

/// What a file's first bytes say it is; its name does not matter. Errors: kNotFound, kIo (a folder, a loop of
/// links, no ordinary file), kInvalid for anything else, naming what is known.
[[nodiscard]] Result<ContainerKind> sniff(const std::filesystem::path& path);

/// Opens a file and lists its arrays; nothing large is read. `scratch`: folder for what must be unpacked
/// (default: the system's temporary folder). Errors: as `sniff`, and kCorrupt with what is wrong.
[[nodiscard]] Result<std::unique_ptr<Container>> open_container(const std::filesystem::path& path,
                                                                const std::filesystem::path& scratch = {});

}  // namespace gauntlet::io
