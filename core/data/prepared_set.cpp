#include "core/data/prepared_set.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/files.hpp"

namespace gauntlet::data {
namespace {

constexpr std::size_t kMaxAboutBytes = std::size_t{64} << 20;

tl::unexpected<Error> wrong_shape(const io::NpyArray& array, std::string_view needed) {
  return fail(ErrorCode::kInvalid, "{} is {} {}; {} is needed", array.path.string(), io::name_of(array.dtype),
              io::shape_text(array.shape), needed);
}

Status check_rows(const io::NpyArray& array, std::int64_t n_items) {
  if (array.shape.front() == n_items) return {};
  return fail(ErrorCode::kInvalid, "{} has {} rows, the set's pictures or features have {}",
              array.path.string(), array.shape.front(), n_items);
}

}  // namespace

std::string_view name_of(Part part) {
  switch (part) {
    case Part::kQuery:
      return "query";
    case Part::kTrain:
      return "train";
    case Part::kRetrieval:
      return "retrieval";
  }
  return "unknown";
}

Result<Part> part_from(std::string_view name) {
  if (name == "query") return Part::kQuery;
  if (name == "train") return Part::kTrain;
  if (name == "retrieval") return Part::kRetrieval;
  return fail(ErrorCode::kInvalid, "'{}' is not a part of a dataset; allowed: query, train, retrieval", name);
}

Status PreparedSet::map_images(const std::filesystem::path& folder) {
  std::error_code ignored;
  const bool has_features = std::filesystem::exists(folder / "image_features.npy", ignored);
  if (has_features && std::filesystem::exists(folder / "images.npy", ignored)) {
    return fail(ErrorCode::kInvalid, "{} has both images.npy and image_features.npy; one of them is needed",
                folder.string());
  }
  GAUNTLET_TRY(image_file_, io::read_npy(folder / (has_features ? "image_features.npy" : "images.npy")));
  const auto& shape = image_file_.shape;
  if (has_features) {
    if (image_file_.dtype != io::DType::kF32 || shape.size() != 2 || shape[1] < 1) {
      return wrong_shape(image_file_, "f32 [n, F]");
    }
    feature_dim_ = shape[1];
    GAUNTLET_TRY(features_, image_file_.as<float>());
  } else {
    if (image_file_.dtype != io::DType::kU8 || shape.size() != 4 || shape[1] < 1 || shape[2] < 1 ||
        shape[3] != 3) {
      return wrong_shape(image_file_, "u8 [n, H, W, 3]");
    }
    height_ = shape[1];
    width_ = shape[2];
    GAUNTLET_TRY(images_, image_file_.as<std::uint8_t>());
  }
  n_items_ = shape[0];
  if (n_items_ < 1) return wrong_shape(image_file_, "at least one row");
  return {};
}

Status PreparedSet::map_text(const std::filesystem::path& folder) {
  GAUNTLET_TRY(text_file_, io::read_npy(folder / "text.npy"));
  const bool is_u8 = text_file_.dtype == io::DType::kU8;
  if ((!is_u8 && text_file_.dtype != io::DType::kF32) || text_file_.shape.size() != 2 ||
      text_file_.shape[1] < 1) {
    return wrong_shape(text_file_, "u8 or f32 [n, D]");
  }
  GAUNTLET_CHECK_OK(check_rows(text_file_, n_items_));
  text_dim_ = text_file_.shape[1];
  if (is_u8) {
    GAUNTLET_TRY(text_u8_, text_file_.as<std::uint8_t>());
  } else {
    GAUNTLET_TRY(text_f32_, text_file_.as<float>());
  }
  return {};
}

Status PreparedSet::map_labels(const std::filesystem::path& folder) {
  GAUNTLET_TRY(label_file_, io::read_npy(folder / "labels.npy"));
  if (label_file_.dtype != io::DType::kU8 || label_file_.shape.size() != 2 || label_file_.shape[1] < 1) {
    return wrong_shape(label_file_, "u8 [n, C]");
  }
  GAUNTLET_CHECK_OK(check_rows(label_file_, n_items_));
  n_labels_ = label_file_.shape[1];
  GAUNTLET_TRY(labels_, label_file_.as<std::uint8_t>());
  const auto wrong = std::ranges::find_if(labels_, [](std::uint8_t value) { return value > 1; });
  if (wrong == labels_.end()) return {};
  const auto at = wrong - labels_.begin();
  return fail(ErrorCode::kInvalid, "{}: row {}, label {} is {}; allowed: 0, 1", label_file_.path.string(),
              at / n_labels_, at % n_labels_, *wrong);
}

Status PreparedSet::read_split(const std::filesystem::path& folder) {
  GAUNTLET_TRY(const io::NpyArray split, io::read_npy(folder / "split.npy"));
  if (split.dtype != io::DType::kU8 || split.shape.size() != 1) return wrong_shape(split, "u8 [n]");
  GAUNTLET_CHECK_OK(check_rows(split, n_items_));
  GAUNTLET_TRY(const auto values, split.as<std::uint8_t>());
  const auto add = [&](Part part, std::int64_t row) { rows_[static_cast<std::size_t>(part)].push_back(row); };
  for (std::int64_t row = 0; row < n_items_; ++row) {
    const std::uint8_t value = values[static_cast<std::size_t>(row)];
    if (value > 3) {
      return fail(ErrorCode::kInvalid,
                  "{}: row {} is {}; allowed: 0 query, 1 train and retrieval, 2 retrieval only, 3 no part",
                  split.path.string(), row, value);
    }
    if (value == 0) add(Part::kQuery, row);
    if (value == 1) add(Part::kTrain, row);
    if (value == 1 || value == 2) add(Part::kRetrieval, row);
  }
  return {};
}

Status PreparedSet::read_about(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "dataset.json";
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxAboutBytes));
  GAUNTLET_TRY(about_, parse_json(text, path.string()));
  if (!about_.is_object()) return fail(ErrorCode::kInvalid, "{} is not a JSON object", path.string());
  const Json names = about_.value("label_names", Json());
  const auto is_text = [](const Json& name) { return name.is_string(); };
  const bool fits = names.is_array() && std::ranges::all_of(names, is_text) &&
                    names.size() == static_cast<std::size_t>(n_labels_);
  if (names.is_null() || fits) return {};
  return fail(ErrorCode::kInvalid, "{}: label_names must be {} texts, one per column of labels.npy",
              path.string(), n_labels_);
}

Result<PreparedSet> PreparedSet::open(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    return fail(ErrorCode::kNotFound, "there is no prepared folder {}", folder.string());
  }
  if (!std::filesystem::exists(folder / "dataset.json", ignored)) {
    return fail(ErrorCode::kNotFound, "{} is not a prepared folder: it has no dataset.json", folder.string());
  }
  PreparedSet set;
  GAUNTLET_CHECK_OK(set.map_images(folder));
  GAUNTLET_CHECK_OK(set.map_text(folder));
  GAUNTLET_CHECK_OK(set.map_labels(folder));
  GAUNTLET_CHECK_OK(set.read_split(folder));
  GAUNTLET_CHECK_OK(set.read_about(folder));
  return set;
}

std::vector<std::string> PreparedSet::label_names() const {
  if (about_.contains("label_names") && !about_["label_names"].is_null()) {
    return about_["label_names"].get<std::vector<std::string>>();
  }
  std::vector<std::string> names;
  for (std::int64_t label = 0; label < n_labels_; ++label) names.push_back(fmt::format("label {}", label));
  return names;
}

}  // namespace gauntlet::data
