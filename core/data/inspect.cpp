#include "core/data/inspect.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/data/dataset.hpp"
#include "core/data/detail/label_stats.hpp"
#include "core/data/detail/prepared_files.hpp"
#include "core/data/detail/source_facts.hpp"
#include "core/io/container.hpp"
#include "core/io/npy.hpp"
#include "core/io/safetensors.hpp"

namespace gauntlet::data {
namespace {

template <class T>
Json range_of(std::span<const T> values) {
  double least = std::numeric_limits<double>::infinity();
  double largest = -least;
  double sum = 0;
  std::int64_t n_not_finite = 0;
  for (const T value : values) {
    const auto number = static_cast<double>(value);
    if (!std::isfinite(number)) {
      ++n_not_finite;
      continue;
    }
    least = std::min(least, number);
    largest = std::max(largest, number);
    sum += number;
  }
  const auto n_finite = static_cast<std::int64_t>(values.size()) - n_not_finite;
  Json facts = {{"n_not_finite", n_not_finite}, {"min", nullptr}, {"max", nullptr}, {"mean", nullptr}};
  if (n_finite > 0) {
    facts["min"] = least;
    facts["max"] = largest;
    facts["mean"] = sum / static_cast<double>(n_finite);
  }
  return facts;
}

Result<Json> values_of(const io::NpyArray& array) {
  const auto facts = [&]<class T>(T) -> Result<Json> {
    GAUNTLET_TRY(const auto values, array.as<T>());
    return range_of<T>(values);
  };
  switch (array.dtype) {
    case io::DType::kBool:
    case io::DType::kU8:
      return facts(std::uint8_t{});
    case io::DType::kI8:
      return facts(std::int8_t{});
    case io::DType::kU16:
      return facts(std::uint16_t{});
    case io::DType::kI16:
      return facts(std::int16_t{});
    case io::DType::kU32:
      return facts(std::uint32_t{});
    case io::DType::kI32:
      return facts(std::int32_t{});
    case io::DType::kU64:
      return facts(std::uint64_t{});
    case io::DType::kI64:
      return facts(std::int64_t{});
    case io::DType::kF32:
      return facts(float{});
    case io::DType::kF64:
      return facts(double{});
    case io::DType::kF16:
    case io::DType::kBF16:
      return Json(nullptr);
  }
  return Json(nullptr);
}

Result<Json> inspect_npy(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(path));
  Json facts = {{"format", 1}, {"kind", "npy"}, {"dtype", io::name_of(array.dtype)}, {"shape", array.shape}};
  GAUNTLET_TRY(facts["values"], values_of(array));
  return facts;
}

Result<Json> inspect_safetensors(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::SafeTensors file, io::read_safetensors(path));
  Json tensors = Json::object();
  for (const auto& [name, tensor] : file.tensors) {
    tensors[name] = {{"dtype", io::name_of(tensor.dtype)}, {"shape", tensor.shape}};
  }
  return Json{{"format", 1}, {"kind", "safetensors"}, {"tensors", tensors}, {"metadata", file.metadata}};
}

Json counts_of(const PreparedSet& set) {
  return {{"query", set.rows(Part::kQuery).size()},
          {"train", set.rows(Part::kTrain).size()},
          {"retrieval", set.rows(Part::kRetrieval).size()}};
}

Json inspect_set(const PreparedSet& set) {
  Json facts = {{"format", 1},
                {"kind", "prepared"},
                {"n_items", set.n_items()},
                {"text", {{"dim", set.text_dim()}, {"dtype", set.text_is_binary() ? "u8" : "f32"}}},
                {"labels", set.label_names()},
                {"counts", counts_of(set)}};
  if (set.height() > 0) {
    facts["image"] = {{"height", set.height()}, {"width", set.width()}};
  } else {
    facts["image_features"] = {{"dim", set.feature_dim()}};
  }
  for (const char* key :
       {"name", "entry", "version", "choices", "sources", "source", "warnings", "licence", "vocabulary"}) {
    if (set.about().contains(key)) facts[key] = set.about()[key];
  }
  return facts;
}

/// Rows whose text is all zero, and the number of non-zero entries in all.
struct TextCounts {
  std::int64_t n_ones = 0;
  std::int64_t n_empty = 0;
  std::int64_t n_empty_queries = 0;
};

TextCounts count_text(const PreparedSet& set) {
  std::vector<bool> is_query(static_cast<std::size_t>(set.n_items()), false);
  for (const std::int64_t row : set.rows(Part::kQuery)) is_query[static_cast<std::size_t>(row)] = true;
  TextCounts counts;
  std::size_t row = 0;
  const auto count = [&]<class T>(std::span<const T> text, bool may_be_copy) {
    const auto dim = static_cast<std::size_t>(set.text_dim());
    const auto take = [&](std::span<const std::byte> piece) {
      for (std::size_t begin = 0; begin < piece.size(); begin += dim * sizeof(T), ++row) {
        const std::span values(reinterpret_cast<const T*>(piece.data() + begin), dim);
        const std::int64_t here = std::ranges::count_if(values, [](T value) { return value != T{0}; });
        counts.n_ones += here;
        counts.n_empty += here == 0 ? 1 : 0;
        counts.n_empty_queries += here == 0 && is_query[row] ? 1 : 0;
      }
    };
    detail::for_each_piece(std::as_bytes(text), dim * sizeof(T), take, may_be_copy);
  };
  set.text_is_binary() ? count(set.text_u8(), false) : count(set.text_f32(), true);
  return counts;
}

Json label_stats(const PreparedSet& set) {
  const std::vector<std::string> names = set.label_names();
  std::vector<std::int64_t> frequency(names.size(), 0);
  std::int64_t n_unlabelled = 0;
  std::int64_t n_ones = 0;
  for (std::size_t row = 0; row < static_cast<std::size_t>(set.n_items()); ++row) {
    const auto labels = set.labels().subspan(row * names.size(), names.size());
    std::int64_t here = 0;
    for (std::size_t label = 0; label < names.size(); ++label) {
      frequency[label] += labels[label];
      here += labels[label];
    }
    n_ones += here;
    if (here == 0) ++n_unlabelled;
  }
  Json by_name = Json::object();
  for (std::size_t label = 0; label < names.size(); ++label) by_name[names[label]] = frequency[label];
  return {{"label_frequency", by_name},
          {"n_unlabelled", n_unlabelled},
          {"labels_per_item", static_cast<double>(n_ones) / static_cast<double>(set.n_items())}};
}

Json list_one(const DatasetEntry& entry) {
  Json needs = Json::array();
  Json defaults = Json::object();
  for (const FieldInfo& field : entry.about.fields()) {
    defaults[field.name] = field.default_value;
    if (field.location)
      needs.push_back({{"option", field.name}, {"default", field.default_value}, {"doc", field.doc}});
  }
  const Result<std::string> content = entry.content_id(defaults);
  return {{"name", entry.about.name},
          {"summary", entry.about.summary},
          {"needs", needs},
          {"available", content.has_value()},
          {"detail", content ? fmt::format("content id {}", *content) : content.error().message}};
}

}  // namespace

Result<Json> inspect(const std::filesystem::path& path, const std::string& map) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    const bool is_prepared = std::filesystem::exists(path / "dataset.json", ignored);
    if (!is_prepared) return detail::source_facts(path, map);
    GAUNTLET_TRY(const PreparedSet set, PreparedSet::open(path));
    return inspect_set(set);
  }
  if (!std::filesystem::exists(path, ignored) && !std::filesystem::is_symlink(path, ignored))
    return fail(ErrorCode::kNotFound, "there is no file {}", path.string());
  GAUNTLET_TRY(const io::ContainerKind kind, io::sniff(path));
  if (kind == io::ContainerKind::kNpy) return inspect_npy(path);
  if (kind == io::ContainerKind::kSafetensors && map.empty()) return inspect_safetensors(path);
  return detail::source_facts(path, map);
}

Json stats(const PreparedSet& set) {
  const detail::DistinctLabels distinct = detail::distinct_labels(set.labels(), set.n_labels());
  const detail::Chance chance =
      detail::chance_of(distinct, set.rows(Part::kQuery), set.rows(Part::kRetrieval));
  const TextCounts text = count_text(set);
  Json numbers = label_stats(set);
  numbers["format"] = 1;
  numbers["n_items"] = set.n_items();
  numbers["counts"] = counts_of(set);
  numbers["n_distinct_label_vectors"] = distinct.n_distinct();
  numbers["n_empty_text"] = text.n_empty;
  numbers["n_empty_text_queries"] = text.n_empty_queries;
  numbers["chance_map"] = chance.mean;
  numbers["chance_map_min"] = chance.least;
  numbers["chance_map_max"] = chance.largest;
  if (set.text_is_binary()) {
    numbers["words_per_item"] = static_cast<double>(text.n_ones) / static_cast<double>(set.n_items());
  }
  return numbers;
}

Json list_datasets() {
  Json all = Json::array();
  for (const DatasetEntry* entry : dataset_registry().entries()) all.push_back(list_one(*entry));
  return all;
}

}  // namespace gauntlet::data
