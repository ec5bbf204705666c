#include "core/data/detail/source_facts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/clipped.hpp"
#include "core/data/detail/box_plan.hpp"
#include "core/data/detail/custom_set.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::int64_t kBoxElements = std::int64_t{1} << 22;
constexpr std::int64_t kMostElements = std::int64_t{1} << 26;
/// Enough for the axis test.
constexpr std::int64_t kInspectedRows = 600;
constexpr std::size_t kShownTexts = 3;

struct Range {
  double least = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  double sum = 0;
  std::int64_t n_finite = 0;
  std::int64_t n_not_finite = 0;

  void add(const std::vector<float>& values) {
    for (const float value : values) {
      if (!std::isfinite(value)) {
        ++n_not_finite;
        continue;
      }
      least = std::min<double>(least, value);
      largest = std::max<double>(largest, value);
      sum += value;
      ++n_finite;
    }
  }

  [[nodiscard]] Json to_json() const {
    Json facts = {{"n_looked_at", n_finite + n_not_finite},
                  {"n_not_finite", n_not_finite},
                  {"min", nullptr},
                  {"max", nullptr},
                  {"mean", nullptr}};
    if (n_finite > 0) {
      facts["min"] = least;
      facts["max"] = largest;
      facts["mean"] = sum / static_cast<double>(n_finite);
    }
    return facts;
  }
};

Result<Json> values_of(io::Container& file, const io::ArrayInfo& array) {
  Range range;
  if (array.n_elements() == 0) return range.to_json();
  std::vector<float> values;
  if (array.dims.empty()) {
    values.resize(1);
    GAUNTLET_CHECK_OK(file.read(array, {}, std::span(values)));
    range.add(values);
    return range.to_json();
  }
  const std::size_t last = array.dims.size() - 1;
  const std::vector<std::int64_t> sides = box_sides(array, array.dims[last], kBoxElements);
  std::int64_t n_done = 0;
  Status done;
  for_each_box(array, sides, [&](io::Slab slab) {
    for (std::int64_t at = 0; done && n_done < kMostElements && at < array.dims[last]; at += sides[last]) {
      slab.start[last] = at;
      slab.count[last] = std::min(sides[last], array.dims[last] - at);
      std::int64_t n = 1;
      for (const std::int64_t side : slab.count) n *= side;
      values.resize(static_cast<std::size_t>(n));
      done = file.read(array, slab, std::span(values));
      if (done) range.add(values);
      n_done += n;
    }
  });
  if (!done) return fail(done.error());
  return range.to_json();
}

/// Strings that cannot be read are a fact, too.
void add_texts(io::Container& file, const io::ArrayInfo& array, Json& facts) {
  const auto texts = file.texts(array);
  if (!texts) {
    facts["refused"] = texts.error().message;
    return;
  }
  facts["n_texts"] = texts->size();
  Json first = Json::array();
  for (std::size_t at = 0; at < std::min(texts->size(), kShownTexts); ++at) {
    for (const std::string& text : (*texts)[at]) first.push_back(clipped(text, 80));
  }
  facts["first_texts"] = first;
}

Json facts_of(io::Container& file, const io::ArrayInfo& array) {
  Json facts = {{"name", array.name}, {"type", array.type}, {"shape", array.dims}};
  if (array.is_matlab)
    facts["matlab_size"] = std::vector<std::int64_t>(array.dims.rbegin(), array.dims.rend());
  if (!array.chunk.empty()) facts["chunk"] = array.chunk;
  if (!array.refusal.empty()) {
    facts["refused"] = array.refusal;
  } else if (array.content == io::Content::kTexts) {
    add_texts(file, array, facts);
  } else {
    auto values = values_of(file, array);
    if (values) {
      facts["values"] = std::move(*values);
    } else {
      facts["refused"] = values.error().message;
    }
  }
  return facts;
}

Json facts_of(const SourceFiles& sources) {
  Json files = Json::array();
  for (const auto& file : sources.files) {
    Json arrays = Json::array();
    for (const io::ArrayInfo& array : file->arrays()) arrays.push_back(facts_of(*file, array));
    files.push_back({{"file", file->path().filename().string()},
                     {"container", io::name_of(file->kind())},
                     {"arrays", std::move(arrays)}});
  }
  return files;
}

void add_meaning(const CustomSet& set, Json& facts) {
  facts["family"] = set.family.name;
  facts["n_rows"] = set.n_rows();
  facts["roles"] = set.roles_as_json();
  for (const auto& [role, binding] : set.family.roles) {
    const auto& dims = set.sources.info_of(binding.array).dims;
    Json& meant = facts["roles"][std::string(name_of(role))]["as_meant"];
    for (const char letter : std::string_view("nhwcbd")) {
      const std::size_t at = binding.axes.find(letter);
      if (at != std::string::npos) meant[std::string(1, letter)] = dims[at];
    }
  }
  if (set.axis_test.n_pictures >= kAxisTestPictures) {
    facts["axis_test"] = set.axis_test.to_json();
    facts["axis_test"]["in_words"] = set.axis_test.in_words();
  }
  facts["warnings"] = set.warnings;
}

}  // namespace

Result<Json> source_facts(const std::filesystem::path& path, const std::string& map) {
  GAUNTLET_TRY(const SourceFiles sources, open_sources(path, {}));
  Json facts = {{"format", 1}, {"kind", "source"}, {"files", facts_of(sources)}};
  Json others = Json::array();
  for (const auto& other : sources.others) {
    if (others.size() < 20) others.push_back(other.filename().string());
  }
  facts["other_files"] = others;
  const auto set = open_custom(path, {.map = map,
                                      .pictures = {},
                                      .text = "auto",
                                      .n_words = 2000,
                                      .scratch = {},
                                      .n_most = kInspectedRows,
                                      .progress = {}});
  if (set) {
    add_meaning(*set, facts);
  } else {
    facts["problem"] = set.error().message;
  }
  return facts;
}

}  // namespace gauntlet::data::detail
