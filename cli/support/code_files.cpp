#include "cli/support/code_files.hpp"

#include <cmath>

#include "core/io/npy.hpp"

namespace gauntlet::cli {
namespace {

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

Result<metrics::PackedCodes> unpack(const io::NpyArray& array, std::int64_t packed_bits) {
  if (array.shape.size() != 2) {
    return fail(ErrorCode::kInvalid, "its shape is {}; codes have two dimensions, n x K",
                io::shape_text(array.shape));
  }
  if (packed_bits == 0) {
    return with_elements(
        array, [&](auto values) { return metrics::PackedCodes::from_values(values, array.shape[1]); });
  }
  const std::int64_t n_bytes = (packed_bits + 7) / 8;
  if (array.dtype != io::DType::kU8 || array.shape[1] != n_bytes) {
    return fail(ErrorCode::kInvalid, "it holds {} of shape {}; codes packed to {} bits are u8 of {} columns",
                io::name_of(array.dtype), io::shape_text(array.shape), packed_bits, n_bytes);
  }
  GAUNTLET_TRY(const std::span<const std::uint8_t> bytes, array.as<std::uint8_t>());
  return metrics::PackedCodes::from_packed(bytes, packed_bits);
}

/// The classes of a one-dimensional file, as integers.
Result<std::vector<std::int64_t>> classes_of(const io::NpyArray& array) {
  return with_elements(array, [&](auto values) -> Result<std::vector<std::int64_t>> {
    std::vector<std::int64_t> classes;
    classes.reserve(values.size());
    for (std::size_t row = 0; row < values.size(); ++row) {
      const double value = static_cast<double>(values[row]);
      const bool is_class =
          value >= 0 && value < static_cast<double>(metrics::kMaxLabels) && std::floor(value) == value;
      if (!is_class) {
        return fail(ErrorCode::kInvalid, "class {} at row {}; allowed: whole numbers from 0 to {}", value,
                    row, metrics::kMaxLabels - 1);
      }
      classes.push_back(static_cast<std::int64_t>(value));
    }
    return classes;
  });
}

Result<std::vector<metrics::LabelSets>> sets_of_classes(const std::vector<io::NpyArray>& arrays) {
  std::vector<std::vector<std::int64_t>> all;
  std::int64_t n_labels = 1;
  for (const io::NpyArray& array : arrays) {
    Result<std::vector<std::int64_t>> classes = classes_of(array);
    if (!classes) return in_file(array.path, classes.error());
    for (const std::int64_t label : *classes) n_labels = std::max(n_labels, label + 1);
    all.push_back(std::move(*classes));
  }
  std::vector<metrics::LabelSets> sets;
  for (const std::vector<std::int64_t>& classes : all) {
    GAUNTLET_TRY(metrics::LabelSets labels, metrics::LabelSets::from_classes(classes, n_labels));
    sets.push_back(std::move(labels));
  }
  return sets;
}

}  // namespace

Result<metrics::PackedCodes> read_codes(const std::filesystem::path& path, std::int64_t packed_bits) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(path));
  Result<metrics::PackedCodes> codes = unpack(array, packed_bits);
  if (!codes) return in_file(path, codes.error());
  return codes;
}

Result<std::vector<metrics::LabelSets>> read_labels(const std::vector<std::filesystem::path>& paths) {
  std::vector<io::NpyArray> arrays;
  for (const std::filesystem::path& path : paths) {
    GAUNTLET_TRY(io::NpyArray array, io::read_npy(path));
    if (array.shape.size() != 1 && array.shape.size() != 2) {
      return fail(ErrorCode::kInvalid, "{}: its shape is {}; labels are n x C of 0 and 1, or n classes",
                  path.string(), io::shape_text(array.shape));
    }
    arrays.push_back(std::move(array));
    if (arrays.back().shape.size() != arrays.front().shape.size()) {
      return fail(ErrorCode::kInvalid,
                  "{} holds n x C labels and {} classes; all label files must have one form",
                  (arrays.front().shape.size() == 2 ? arrays.front() : arrays.back()).path.string(),
                  (arrays.front().shape.size() == 2 ? arrays.back() : arrays.front()).path.string());
    }
  }
  if (arrays.front().shape.size() == 1) return sets_of_classes(arrays);
  std::vector<metrics::LabelSets> sets;
  for (const io::NpyArray& array : arrays) {
    Result<metrics::LabelSets> labels = with_elements(
        array, [&](auto values) { return metrics::LabelSets::from_values(values, array.shape[1]); });
    if (!labels) return in_file(array.path, labels.error());
    sets.push_back(std::move(*labels));
  }
  return sets;
}

}  // namespace gauntlet::cli
