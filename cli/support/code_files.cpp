#include "cli/support/code_files.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::cli {
namespace {

using metrics::LabelSets;
using metrics::PackedCodes;

tl::unexpected<Error> in_file(const std::filesystem::path& path, const Error& error) {
  return fail(error.code, "{}: {}", path.string(), error.message);
}

/// Calls fn with the elements as a span of their own type.
template <class Fn>
auto with_elements(const io::NpyArray& array, const Fn& fn) -> decltype(fn(std::span<const std::uint8_t>{})) {
  switch (array.dtype) {
    case io::DType::kBool:
    case io::DType::kU8:
      return fn(array.as<std::uint8_t>().value());
    case io::DType::kI8:
      return fn(array.as<std::int8_t>().value());
    case io::DType::kU16:
      return fn(array.as<std::uint16_t>().value());
    case io::DType::kI16:
      return fn(array.as<std::int16_t>().value());
    case io::DType::kU32:
      return fn(array.as<std::uint32_t>().value());
    case io::DType::kI32:
      return fn(array.as<std::int32_t>().value());
    case io::DType::kU64:
      return fn(array.as<std::uint64_t>().value());
    case io::DType::kI64:
      return fn(array.as<std::int64_t>().value());
    case io::DType::kF32:
      return fn(array.as<float>().value());
    case io::DType::kF64:
      return fn(array.as<double>().value());
    case io::DType::kF16:
    case io::DType::kBF16:
      break;
  }
  return fail(ErrorCode::kInvalid, "it holds {}; allowed: integers, bool, f32, f64",
              io::name_of(array.dtype));
}

/// Elements in a row of the array.
std::size_t row_length(const io::NpyArray& array) {
  return array.shape.size() < 2 ? 1 : static_cast<std::size_t>(array.shape[1]);
}

/// Rows [first, first + n) of the elements.
template <class T>
std::span<const T> part(const io::NpyArray& array, std::span<const T> all, std::int64_t first,
                        std::int64_t n) {
  const std::size_t per_row = row_length(array);
  return all.subspan(static_cast<std::size_t>(first) * per_row, static_cast<std::size_t>(n) * per_row);
}

/// Gives back the pages that lie wholly before the end of these rows: they are the file's, so reading them
/// again brings the same bytes.
void release(const io::NpyArray& array, std::int64_t first, std::int64_t n) {
  if (!array.aligned_copy.empty()) return;
  const std::size_t row_bytes = row_length(array) * io::size_of(array.dtype);
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto data = reinterpret_cast<std::uintptr_t>(array.bytes.data());
  const std::uintptr_t begin = (data + static_cast<std::size_t>(first) * row_bytes) / page * page;
  const std::uintptr_t end = (data + static_cast<std::size_t>(first + n) * row_bytes) / page * page;
  if (begin >= end) return;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): only the kernel looks at the address, which is a page's
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Status check_codes(const io::NpyArray& array, std::int64_t packed_bits) {
  if (array.shape.size() != 2) {
    return fail(ErrorCode::kInvalid, "its shape is {}; codes have two dimensions, n x K",
                io::shape_text(array.shape));
  }
  if (packed_bits == 0) {
    if (array.shape[1] >= 1 && array.shape[1] <= metrics::kMaxCodeBits) return {};
    return fail(ErrorCode::kInvalid, "its codes have {} bits; allowed: 1 to {}", array.shape[1],
                metrics::kMaxCodeBits);
  }
  const std::int64_t n_bytes = (packed_bits + 7) / 8;
  if (array.dtype == io::DType::kU8 && array.shape[1] == n_bytes) return {};
  return fail(ErrorCode::kInvalid, "it holds {} of shape {}; codes packed to {} bits are u8 of {} columns",
              io::name_of(array.dtype), io::shape_text(array.shape), packed_bits, n_bytes);
}

Result<io::NpyArray> open_codes(const std::filesystem::path& path, std::int64_t packed_bits) {
  GAUNTLET_TRY(io::NpyArray array, io::read_npy(path));
  const Status status = check_codes(array, packed_bits);
  if (!status) return in_file(path, status.error());
  return array;
}

Result<io::NpyArray> open_labels(const std::filesystem::path& path) {
  GAUNTLET_TRY(io::NpyArray array, io::read_npy(path));
  if (array.shape.size() == 1 || array.shape.size() == 2) return array;
  return fail(ErrorCode::kInvalid, "{}: its shape is {}; labels are n x C of 0 and 1, or n classes",
              path.string(), io::shape_text(array.shape));
}

Result<PackedCodes> codes_of(const io::NpyArray& array, std::int64_t packed_bits, std::int64_t first,
                             std::int64_t n) {
  Result<PackedCodes> codes = with_elements(array, [&](auto all) -> Result<PackedCodes> {
    using T = typename decltype(all)::value_type;
    const std::span<const T> values = part(array, all, first, n);
    if constexpr (std::is_same_v<T, std::uint8_t>) {
      if (packed_bits != 0) return PackedCodes::from_packed(values, packed_bits, first);
    }
    return PackedCodes::from_values(values, array.shape[1], first);
  });
  if (!codes) return in_file(array.path, codes.error());
  return codes;
}

/// One class per row, as integers.
template <class T>
Result<std::vector<std::int64_t>> classes_of(std::span<const T> values, std::int64_t first) {
  std::vector<std::int64_t> classes;
  classes.reserve(values.size());
  for (std::size_t row = 0; row < values.size(); ++row) {
    const double value = static_cast<double>(values[row]);
    const bool is_class =
        value >= 0 && value < static_cast<double>(metrics::kMaxLabels) && std::floor(value) == value;
    if (!is_class) {
      return fail(ErrorCode::kInvalid, "class {} at row {}; allowed: whole numbers from 0 to {}", value,
                  first + static_cast<std::int64_t>(row), metrics::kMaxLabels - 1);
    }
    classes.push_back(static_cast<std::int64_t>(value));
  }
  return classes;
}

Result<LabelSets> labels_of(const io::NpyArray& array, std::int64_t n_labels, std::int64_t first,
                            std::int64_t n) {
  Result<LabelSets> labels = with_elements(array, [&](auto all) -> Result<LabelSets> {
    const auto values = part(array, all, first, n);
    if (array.shape.size() == 2) {
      Result<LabelSets> sets = LabelSets::from_values(values, n_labels, first);
      if (!sets && n_labels == 1) sets.error().message += "; classes are an array of one dimension, n";
      return sets;
    }
    GAUNTLET_TRY(const std::vector<std::int64_t> classes, classes_of(values, first));
    return LabelSets::from_classes(classes, n_labels, first);
  });
  if (!labels) return in_file(array.path, labels.error());
  return labels;
}

/// The largest class of a one-dimensional file plus one, read in pieces.
Result<std::int64_t> n_classes(const io::NpyArray& array) {
  constexpr std::int64_t kPiece = 1 << 16;
  std::int64_t n_labels = 1;
  for (std::int64_t first = 0; first < array.shape[0]; first += kPiece) {
    const std::int64_t n = std::min(kPiece, array.shape[0] - first);
    const Result<std::vector<std::int64_t>> classes =
        with_elements(array, [&](auto all) { return classes_of(part(array, all, first, n), first); });
    if (!classes) return in_file(array.path, classes.error());
    n_labels = std::max(n_labels, *std::max_element(classes->begin(), classes->end()) + 1);
    release(array, first, n);
  }
  return n_labels;
}

}  // namespace

void CodeFacts::add(const PackedCodes& codes) {
  if (n == 0) {
    any.assign(static_cast<std::size_t>(codes.n_words()), 0);
    all.assign(static_cast<std::size_t>(codes.n_words()), ~std::uint64_t{0});
  }
  n += codes.n();
  n_zeros += codes.n_zeros();
  has_negative = has_negative || codes.has_negative();
  const std::span<const std::uint64_t> words = codes.rows(0, codes.n());
  for (std::size_t at = 0; at < words.size(); ++at) {
    any[at % any.size()] |= words[at];
    all[at % all.size()] &= words[at];
  }
}

std::vector<std::int64_t> CodeFacts::constant_bits(std::int64_t bits) const {
  std::vector<std::int64_t> constant;
  for (std::int64_t bit = 0; bit < bits && n > 0; ++bit) {
    const std::size_t word = static_cast<std::size_t>(bit) / 64;
    if ((((any[word] ^ all[word]) >> (bit % 64)) & 1) == 0) constant.push_back(bit);
  }
  return constant;
}

Result<CodeFiles> CodeFiles::open(const Paths& paths) {
  CodeFiles files;
  files.packed_bits_ = paths.packed_bits;
  GAUNTLET_TRY(files.query_codes_, open_codes(paths.query_codes, paths.packed_bits));
  GAUNTLET_TRY(files.retrieval_codes_, open_codes(paths.retrieval_codes, paths.packed_bits));
  GAUNTLET_TRY(files.query_labels_, open_labels(paths.query_labels));
  GAUNTLET_TRY(files.retrieval_labels_, open_labels(paths.retrieval_labels));
  if (!paths.target_labels.empty()) {
    GAUNTLET_TRY(files.target_labels_, open_labels(paths.target_labels));
  }
  GAUNTLET_CHECK_OK(files.check_rows(paths));
  GAUNTLET_CHECK_OK(files.count_labels(paths));
  return files;
}

Status CodeFiles::check_rows(const Paths& paths) const {
  const std::int64_t n_query_labels = query_labels_.shape[0];
  const std::int64_t n_retrieval_labels = retrieval_labels_.shape[0];
  const bool swapped =
      n_queries() == n_retrieval_labels && n_retrieval() == n_query_labels && n_queries() != n_retrieval();
  const std::string_view hint =
      swapped ? "; are the files of the query and the retrieval labels swapped?" : "";
  if (n_queries() != n_query_labels) {
    return fail(ErrorCode::kInvalid, "{} query codes but {} rows of query labels ({}, {}); they must agree{}",
                n_queries(), n_query_labels, paths.query_codes.string(), paths.query_labels.string(), hint);
  }
  if (n_retrieval() != n_retrieval_labels) {
    return fail(ErrorCode::kInvalid,
                "{} retrieval codes but {} rows of retrieval labels ({}, {}); they must agree", n_retrieval(),
                n_retrieval_labels, paths.retrieval_codes.string(), paths.retrieval_labels.string());
  }
  if (target_labels_ && target_labels_->shape[0] != n_queries()) {
    return fail(ErrorCode::kInvalid, "{} query codes but {} rows of target labels ({}, {}); they must agree",
                n_queries(), target_labels_->shape[0], paths.query_codes.string(),
                paths.target_labels.string());
  }
  return {};
}

Status CodeFiles::count_labels(const Paths& paths) {
  std::vector<std::pair<const io::NpyArray*, const std::filesystem::path*>> all = {
      {&query_labels_, &paths.query_labels}, {&retrieval_labels_, &paths.retrieval_labels}};
  if (target_labels_) all.emplace_back(&*target_labels_, &paths.target_labels);
  n_labels_ = 1;
  for (const auto& [array, path] : all) {
    if (array->shape.size() != query_labels_.shape.size()) {
      const bool first_is_wide = query_labels_.shape.size() == 2;
      return fail(ErrorCode::kInvalid,
                  "{} holds n x C labels and {} classes; all label files must have one form",
                  (first_is_wide ? paths.query_labels : *path).string(),
                  (first_is_wide ? *path : paths.query_labels).string());
    }
    if (array->shape.size() == 1) {
      GAUNTLET_TRY(const std::int64_t n, n_classes(*array));
      n_labels_ = std::max(n_labels_, n);
    } else if (array->shape[1] != query_labels_.shape[1]) {
      return fail(ErrorCode::kInvalid, "{} has labels of {} columns, {} of {}; they must agree",
                  paths.query_labels.string(), query_labels_.shape[1], path->string(), array->shape[1]);
    }
  }
  if (query_labels_.shape.size() == 2) n_labels_ = query_labels_.shape[1];
  return {};
}

std::int64_t CodeFiles::bits() const { return packed_bits_ != 0 ? packed_bits_ : retrieval_codes_.shape[1]; }

Result<PackedCodes> CodeFiles::query_codes() const {
  return codes_of(query_codes_, packed_bits_, 0, n_queries());
}

Result<LabelSets> CodeFiles::query_labels() const {
  return labels_of(query_labels_, n_labels_, 0, n_queries());
}

Result<LabelSets> CodeFiles::target_labels() const {
  return labels_of(*target_labels_, n_labels_, 0, n_queries());
}

Result<PackedCodes> CodeFiles::retrieval_codes(std::int64_t first, std::int64_t n) const {
  Result<PackedCodes> codes = codes_of(retrieval_codes_, packed_bits_, first, n);
  release(retrieval_codes_, first, n);
  return codes;
}

Result<LabelSets> CodeFiles::retrieval_labels(std::int64_t first, std::int64_t n) const {
  Result<LabelSets> labels = labels_of(retrieval_labels_, n_labels_, first, n);
  release(retrieval_labels_, first, n);
  return labels;
}

Result<metrics::ItemRows> ItemFiles::rows(std::int64_t first, std::int64_t n,
                                          metrics::ItemScratch& scratch) const {
  GAUNTLET_TRY(scratch.codes, files_.retrieval_codes(first, n));
  GAUNTLET_TRY(scratch.labels, files_.retrieval_labels(first, n));
  const std::lock_guard lock(mutex_);
  if (facts_.n < files_.n_retrieval()) facts_.add(scratch.codes);  // a second sweep brings nothing new
  return metrics::ItemRows{scratch.codes.rows(0, n), scratch.labels.rows(0, n)};
}

}  // namespace gauntlet::cli
