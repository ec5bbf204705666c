#include "core/sheets/explanation.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "core/data/captions.hpp"
#include "core/sheets/detail/explained.hpp"

namespace gauntlet::sheets {
namespace detail {
namespace {

/// Mean cosine of the two maps above which they show the same thing.
constexpr double kSameMaps = 0.95;

Result<Values> read_values(const artifacts::Artifact& artifact, const std::string& name, std::size_t n) {
  const std::filesystem::path path = artifact.file(name + ".npy");
  Values read;
  GAUNTLET_TRY(read.file, io::read_npy(path));
  if (read.file.shape.empty() || read.file.shape.front() != static_cast<std::int64_t>(n) || n == 0) {
    return fail(ErrorCode::kCorrupt, "{} is {}, and the job showed {} queries", path.string(),
                io::shape_text(read.file.shape), n);
  }
  GAUNTLET_TRY(read.values, read.file.as<float>());
  read.n_per_query = static_cast<std::int64_t>(read.values.size() / n);
  return read;
}

/// Every array is about the same pictures or words.
Status check_sizes(const Explained& explained, const data::PreparedSet& set,
                   const artifacts::Artifact& artifact) {
  const bool is_image = explained.height > 0;
  const std::int64_t places = is_image ? explained.height * explained.width : set.text_dim();
  for (const auto& [name, values] : explained.arrays) {
    const bool is_map = std::ranges::find(explained.maps, name) != explained.maps.end();
    const std::int64_t wanted = is_image && !is_map ? 3 * places : places;
    if (values.n_per_query == wanted) continue;
    return fail(ErrorCode::kCorrupt, "{} holds {} values for a query; {} are right",
                artifact.file(name + ".npy").string(), values.n_per_query, wanted);
  }
  for (const std::int64_t row : explained.rows) {
    if (row < 0 || row >= set.n_items())
      return fail(ErrorCode::kCorrupt, "{} shows row {}, and the set has {}", artifact.folder.string(), row,
                  set.n_items());
  }
  return {};
}

Result<Explained> read_explained(const artifacts::Artifact& artifact, const data::PreparedSet& set) {
  Explained explained;
  explained.defense = artifact.job.entry;
  explained.about = artifact.about;
  GAUNTLET_TRY(const io::NpyArray rows, io::read_npy(artifact.file("rows.npy")));
  GAUNTLET_TRY(const auto row, rows.as<std::int64_t>());
  explained.rows.assign(row.begin(), row.end());
  for (const Json& map : artifact.about.value("maps", Json::array()))
    explained.maps.push_back(map.is_string() ? map.get<std::string>() : "");
  std::vector<std::string> names = {"clean", "adversarial", "difference"};
  if (std::filesystem::exists(artifact.file("purified.npy"))) names.emplace_back("purified");
  names.insert(names.end(), explained.maps.begin(), explained.maps.end());
  for (const std::string& name : names) {
    GAUNTLET_TRY(explained.arrays[name], read_values(artifact, name, explained.rows.size()));
  }
  if (artifact.about.value("modality", "") == "image") {
    const std::vector<std::int64_t>& shape = explained.arrays.at("clean").file.shape;
    if (shape.size() != 4)
      return fail(ErrorCode::kInvalid, "the set holds image features, there is nothing to look at");
    explained.height = shape[2];
    explained.width = shape[3];
  }
  GAUNTLET_CHECK_OK(check_sizes(explained, set, artifact));
  return explained;
}

}  // namespace

std::optional<double> Explained::number(const std::string& name, std::size_t query) const {
  const Json numbers = about.value("numbers", Json::object());
  const auto found = numbers.find(name);
  if (found == numbers.end() || !found->is_array() || query >= found->size() || !(*found)[query].is_number())
    return std::nullopt;
  return (*found)[query].get<double>();
}

std::optional<double> Explained::mean(const std::string& name) const {
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t query = 0; query < rows.size(); ++query) {
    if (const auto value = number(name, query)) {
      sum += *value;
      ++n;
    }
  }
  return n == 0 ? std::nullopt : std::optional(sum / static_cast<double>(n));
}

bool Explained::is_absolute(const std::string& map, std::size_t query) const {
  const Json marks = about.value("absolute", Json::object()).value(map, Json::array());
  return query < marks.size() && marks[query].is_boolean() && marks[query].get<bool>();
}

std::string heading_of(const data::PreparedSet& set, std::int64_t row) {
  const std::vector<std::string> labels = data::labels_of_item(set, row);
  return fmt::format("row {}: {}", row,
                     labels.empty() ? "no label" : fmt::format("{}", fmt::join(labels, ", ")));
}

std::string flips_text(const Explained& explained, const std::string& number, std::size_t query) {
  const auto flips = explained.number(number, query);
  if (!flips) return "";
  return fmt::format("{:.0f} of {} bits flipped", *flips, explained.about.value("bits", std::int64_t{0}));
}

std::string upper(std::string_view name) {
  std::string text(name);
  std::ranges::transform(text, text.begin(), [](unsigned char letter) { return std::toupper(letter); });
  return text;
}

void write_footer(const Explained& explained, Page& page) {
  if (explained.maps.empty()) {
    page.paragraph(fmt::format(
        "Defense '{}' has neither ARF nor AVF maps, which drfgd has; shown is the rest.", explained.defense));
    return;
  }
  for (const char* branch : {"arf", "avf"}) {
    if (std::ranges::find(explained.maps, branch) == explained.maps.end())
      page.paragraph(
          fmt::format("Defense '{}' was trained without the {} branch.", explained.defense, upper(branch)));
  }
  std::vector<std::string> means;
  const auto add = [&](const char* name, const char* text) {
    if (const auto mean = explained.mean(name)) means.push_back(fmt::format("{} {:.2f}", text, *mean));
  };
  add("heat_iou", "overlap (IoU) of the top 20 % of ARF and AVF");
  add("heat_cosine_arf", "ARF before and after the attack: cosine");
  add("heat_cosine_avf", "AVF before and after: cosine");
  add("heat_avf_on_change", "share of the AVF map on what changed most");
  if (!means.empty())
    page.paragraph(fmt::format("Means of {} queries: {}.", explained.rows.size(), fmt::join(means, "; ")), 3);
  const auto same = explained.mean("heat_cosine_arf_avf");
  if (same && *same > kSameMaps) {
    page.paragraph(
        fmt::format("ARF and AVF maps are nearly the same here (mean cosine {:.2f}): the branches do "
                    "not look at different places.",
                    *same));
  }
}

}  // namespace detail

Result<draw::Sheet> explanation_sheet(const artifacts::Artifact& explanation, const data::PreparedSet& set,
                                      std::string title, const draw::Lettering& lettering) {
  GAUNTLET_TRY(const detail::Explained explained, detail::read_explained(explanation, set));
  return explained.height > 0 ? detail::pictures_sheet(explained, set, std::move(title), lettering)
                              : detail::words_sheet(explained, set, std::move(title), lettering);
}

}  // namespace gauntlet::sheets
