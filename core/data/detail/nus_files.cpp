#include "core/data/detail/nus_files.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "core/data/detail/line_file.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxOddities = 10;

std::string cut_to_show(std::string_view text) { return printable_name(std::string(text.substr(0, 40))); }

/// A label's value: anything that from_chars reads as an integer or that is one too large for it.
std::optional<bool> is_above_zero(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = negative ? text.substr(1) : text;
  const bool is_number =
      !digits.empty() && std::ranges::all_of(digits, [](char each) { return each >= '0' && each <= '9'; });
  if (!is_number) return std::nullopt;
  return !negative && digits.find_first_not_of('0') != std::string_view::npos;
}

Status check_image(const LineFile& lines, std::string_view image) {
  const bool leaves = image.starts_with('/') || image == ".." || image.starts_with("../") ||
                      image.find("/../") != std::string_view::npos || image.ends_with("/..");
  if (leaves)
    return fail(ErrorCode::kInvalid, "{} is '{}', which leaves the folder of pictures", lines.place(),
                cut_to_show(image));
  if (!io::is_utf8(image)) return fail(ErrorCode::kInvalid, "{} is not UTF-8", lines.place());
  return {};
}

Result<NusColumn> read_concept(const fs::path& folder, const std::string& shown, const std::string& file,
                               std::int64_t n_lines) {
  return read_nus_column(folder / file, shown + "/" + file, n_lines);
}

/// Positions in `images` of a list's lines.
Result<std::vector<std::uint32_t>> places_of(
    const fs::path& path, const std::string& name,
    const std::unordered_map<std::string_view, std::uint32_t>& index) {
  GAUNTLET_TRY(const auto part, read_nus_images(path, name));
  std::vector<std::uint32_t> places;
  for (const std::string& image : part) {
    const auto known = index.find(image);
    if (known == index.end()) {
      return fail(ErrorCode::kInvalid, "{}: line {} is '{}', which Imagelist.txt does not have", name,
                  places.size() + 1, cut_to_show(image));
    }
    places.push_back(known->second);
  }
  return places;
}

Status add_train_test(const fs::path& root, const std::vector<std::string>& images, NusLabels& labels) {
  std::unordered_map<std::string_view, std::uint32_t> index;
  for (std::size_t at = 0; at < images.size(); ++at)
    index.emplace(images[at], static_cast<std::uint32_t>(at));
  for (const char* part : {"Train", "Test"}) {
    const std::string list = fmt::format("ImageList/{}Imagelist.txt", part);
    GAUNTLET_TRY(const auto places, places_of(root / list, list, index));
    for (std::size_t at = 0; at < labels.concepts.size(); ++at) {
      const std::string file = fmt::format("Labels_{}_{}.txt", labels.concepts[at], part);
      GAUNTLET_TRY(const NusColumn column,
                   read_concept(root / "Groundtruth" / "TrainTestLabels", "Groundtruth/TrainTestLabels", file,
                                static_cast<std::int64_t>(places.size())));
      for (const std::uint32_t line : column.ones) labels.columns[at].push_back(places[line]);
      labels.warnings.insert(labels.warnings.end(), column.oddities.begin(), column.oddities.end());
    }
  }
  for (Ones& column : labels.columns) std::ranges::sort(column);
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_nus_images(const fs::path& path, const std::string& name) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, name, 4096));
  std::vector<std::string> images;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) break;
    std::string image(trimmed(*line));
    if (image.empty()) continue;
    std::ranges::replace(image, '\\', '/');
    GAUNTLET_CHECK_OK(check_image(lines, image));
    images.push_back(std::move(image));
  }
  if (images.empty()) return fail(ErrorCode::kInvalid, "{} is empty; one picture per line is expected", name);
  return images;
}

Result<NusColumn> read_nus_column(const fs::path& path, const std::string& name, std::int64_t n_lines) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, name, 4096));
  NusColumn column;
  std::uint32_t at = 0;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) break;
    const std::string_view text = trimmed(*line);
    if (text.empty()) continue;
    const auto above = is_above_zero(text);
    if (!above)
      return fail(ErrorCode::kInvalid, "{} is '{}'; allowed: 0, 1", lines.place(), cut_to_show(text));
    if (text != "0" && text != "1" && column.oddities.size() < kMaxOddities) {
      column.oddities.push_back(
          fmt::format("{} is {}; read as {}", lines.place(), cut_to_show(text), *above ? 1 : 0));
    }
    if (*above) column.ones.push_back(at);
    ++at;
  }
  if (at != n_lines) {
    return fail(ErrorCode::kInvalid, "{} has {} lines; the image list has {}", name, at, n_lines);
  }
  return column;
}

Result<NusLabels> read_nus_labels(const fs::path& root, const std::vector<std::string>& images) {
  NusLabels labels;
  GAUNTLET_TRY(labels.concepts,
               read_name_list(root / "ConceptsList" / "Concepts81.txt", "ConceptsList/Concepts81.txt"));
  for (const std::string& concept_name : labels.concepts) {
    if (concept_name.find('/') == std::string::npos) continue;
    return fail(ErrorCode::kInvalid, "ConceptsList/Concepts81.txt: '{}' is no name of a concept",
                concept_name);
  }
  labels.columns.resize(labels.concepts.size());
  const fs::path folder = root / "Groundtruth" / "AllLabels";
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    GAUNTLET_CHECK_OK(add_train_test(root, images, labels));
    return labels;
  }
  for (std::size_t at = 0; at < labels.concepts.size(); ++at) {
    GAUNTLET_TRY(NusColumn column, read_concept(folder, "Groundtruth/AllLabels",
                                                fmt::format("Labels_{}.txt", labels.concepts[at]),
                                                static_cast<std::int64_t>(images.size())));
    labels.columns[at] = std::move(column.ones);
    labels.warnings.insert(labels.warnings.end(), column.oddities.begin(), column.oddities.end());
  }
  return labels;
}

std::vector<std::size_t> largest_concepts(const NusLabels& labels, std::size_t n) {
  std::vector<std::size_t> order(labels.concepts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](std::size_t at) { return labels.columns[at].size(); });
  order.resize(std::min(n, order.size()));
  std::ranges::sort(order);
  return order;
}

Result<NusTags> read_nus_tags(const fs::path& path, const std::string& name, std::int64_t n_images,
                              std::size_t n_tags, const Ones& wanted) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, name, n_tags * 4 + 4096));
  NusTags tags;
  tags.rows.reserve(wanted.size());
  std::int64_t image = 0;
  std::vector<std::uint16_t> row;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) break;
    const std::string_view text = trimmed(*line);
    if (text.empty()) continue;
    row.clear();
    std::size_t tag = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == ' ' || text[at] == '\t') continue;
      const bool ends = at + 1 == text.size() || text[at + 1] == ' ' || text[at + 1] == '\t';
      if ((text[at] != '0' && text[at] != '1') || !ends) {
        return fail(ErrorCode::kInvalid, "{}: value {} is not 0 or 1", lines.place(), tag + 1);
      }
      if (text[at] == '1' && tag < n_tags) row.push_back(static_cast<std::uint16_t>(tag));
      ++tag;
    }
    if (tag != n_tags)
      return fail(ErrorCode::kInvalid, "{} has {} values; the list has {} tags", lines.place(), tag, n_tags);
    tags.n_ones += static_cast<std::int64_t>(row.size());
    const std::size_t next = tags.rows.size();
    if (next < wanted.size() && wanted[next] == image) tags.rows.push_back(row);
    ++image;
  }
  if (image != n_images)
    return fail(ErrorCode::kInvalid, "{} has {} lines; the image list has {}", name, image, n_images);
  return tags;
}

}  // namespace gauntlet::data::detail
