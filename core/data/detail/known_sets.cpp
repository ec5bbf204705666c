#include "core/data/detail/known_sets.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/data/detail/flickr_files.hpp"
#include "core/data/detail/known_numbers.hpp"
#include "core/data/detail/label_stats.hpp"
#include "core/data/detail/prepared_files.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::string_view kNusLabels[] = {
    "animal",   "beach", "buildings", "clouds", "flowers",    "grass", "lake",
    "mountain", "ocean", "person",    "plants", "reflection", "road",  "rocks",
    "sky",      "snow",  "sunset",    "tree",   "vehicle",    "water", "window"};

const Published* published_of(const PreparedSet& set) {
  const Json& about = set.about();
  const Json choices = about.value("choices", Json::object());
  const auto choice = [&](const char* name) {
    const Json value = choices.value(name, Json());
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  if (choices.value("relevant_labels", Json(false)) == true) return nullptr;
  if (about.value("entry", Json()) == "mscoco" && choices.value("n_words", Json()) != 2000) return nullptr;
  if (about.value("entry", Json()) == "custom") {
    const Json family = about.value("family", Json());
    const auto* known = std::ranges::find_if(kPublished, [&](const Published& each) {
      return each.entry == "custom" && each.n_items == set.n_items() && family.is_string() &&
             family.get_ref<const std::string&>().starts_with(each.choice);
    });
    return known == std::end(kPublished) ? nullptr : known;
  }
  const std::string key =
      choice("concepts").empty() ? choice("keep") : choice("concepts") + " " + choice("keep");
  const auto* known = std::ranges::find_if(kPublished, [&](const Published& each) {
    return about.value("entry", Json()) == each.entry && key == each.choice;
  });
  return known == std::end(kPublished) ? nullptr : known;
}

/// Sums of the arrays that several checks need.
struct Counts {
  std::vector<std::int64_t> per_label;
  std::int64_t n_label_ones = 0;
  std::int64_t n_unlabelled = 0;
  std::int64_t n_tag_ones = 0;
  std::int64_t n_empty_text = 0;
};

Counts count(const PreparedSet& set) {
  Counts counts;
  const auto n_labels = static_cast<std::size_t>(set.n_labels());
  const auto text_dim = static_cast<std::size_t>(set.text_dim());
  counts.per_label.resize(n_labels);
  for (std::size_t row = 0; row < static_cast<std::size_t>(set.n_items()); ++row) {
    std::int64_t here = 0;
    for (std::size_t label = 0; label < n_labels; ++label) {
      counts.per_label[label] += set.labels()[row * n_labels + label];
      here += set.labels()[row * n_labels + label];
    }
    counts.n_label_ones += here;
    counts.n_unlabelled += here == 0 ? 1 : 0;
  }
  for_each_piece(std::as_bytes(set.text_u8()), text_dim, [&](std::span<const std::byte> rows) {
    for (std::size_t begin = 0; begin < rows.size(); begin += text_dim) {
      const auto text = rows.subspan(begin, text_dim);
      const auto ones = std::ranges::count(text, std::byte{1});
      counts.n_tag_ones += ones;
      counts.n_empty_text += ones == 0 ? 1 : 0;
    }
  });
  return counts;
}

class Comparison {
 public:
  explicit Comparison(const CheckSink& check) : check_(check) {}

  void equal(const std::string& name, std::int64_t found, std::optional<std::int64_t> expected) const {
    if (!expected) return;
    check_("published " + name, found == *expected,
           found == *expected
               ? fmt::format("{}", found)
               : fmt::format("{} was found, {} is published ({:+})", found, *expected, found - *expected));
  }
  void near(const std::string& name, double found, std::optional<Known> expected) const {
    if (!expected) return;
    const bool ok = std::abs(found - expected->value) <= expected->tolerance;
    check_("published " + name, ok,
           ok ? fmt::format("{:.4g}", found)
              : fmt::format("{:.4g} was found, {:.4g} within {:.2g} is published", found, expected->value,
                            expected->tolerance));
  }
  void either(const std::string& name, std::int64_t of_set, const Json& of_source,
              std::optional<std::int64_t> expected) const {
    if (!expected) return;
    const bool ok = of_set == *expected || of_source == *expected;
    check_("published " + name, ok,
           ok ? fmt::format("{}", *expected)
              : fmt::format("{} in the set and {} in the source were found, {} is published", of_set,
                            of_source.dump(), *expected));
  }
  [[nodiscard]] const CheckSink& check() const { return check_; }

 private:
  const CheckSink& check_;
};

void compare_labels(const PreparedSet& set, const Published& known, const Counts& counts,
                    const Comparison& compare) {
  const std::vector<std::string> names = set.label_names();
  if (known.entry == "flickr25k" && names.size() == flickr_labels().size()) {
    for (std::size_t label = 0; label < names.size(); ++label) {
      // Counted over all photos; an item without a tag has labels too.
      if (known.choice == "tagged") break;
      compare.equal(fmt::format("items with label {}", flickr_labels()[label].name), counts.per_label[label],
                    flickr_labels()[label].n_photos);
    }
  }
  if (known.choice.starts_with("tc21")) {
    const bool ok = std::ranges::equal(names, kNusLabels);
    compare.check()("published names of the labels", ok,
                    ok ? "agree"
                       : fmt::format("{} were found, {} are published", fmt::join(names, " "),
                                     fmt::join(kNusLabels, " ")));
  }
  compare.equal("labels in all", counts.n_label_ones, known.n_label_ones);
  compare.equal("items without a label", counts.n_unlabelled, known.n_unlabelled);
  compare.near("labels per item",
               static_cast<double>(counts.n_label_ones) / static_cast<double>(set.n_items()),
               known.labels_per_item);
}

/// What a random ranking scores. The published numbers are of one draw of 2,000 queries.
void compare_chance(const PreparedSet& set, const Published& known, const Comparison& compare) {
  const std::vector<std::int64_t> queries = set.rows(Part::kQuery);
  const std::vector<std::int64_t> retrieval = set.rows(Part::kRetrieval);
  const DistinctLabels distinct = distinct_labels(set.labels(), set.n_labels());
  const Chance chance = chance_of(distinct, queries, retrieval);
  compare.near("chance MAP", chance.mean, known.chance);
  if (queries.size() != 2000) return;
  compare.near("least chance of a query", chance.least, known.chance_least);
  compare.near("largest chance of a query", chance.largest, known.chance_largest);
  std::vector<bool> seen(distinct.n_distinct(), false);
  for (const std::int64_t row : retrieval) seen[distinct.vector_of_row[static_cast<std::size_t>(row)]] = true;
  compare.near("distinct label vectors of the retrieval set",
               static_cast<double>(std::ranges::count(seen, true)), known.n_distinct_labels);
  const auto n_labels = static_cast<std::size_t>(set.n_labels());
  const auto is_unlabelled = [&](std::int64_t row) {
    const auto labels = set.labels().subspan(static_cast<std::size_t>(row) * n_labels, n_labels);
    return std::ranges::none_of(labels, [](std::uint8_t label) { return label != 0; });
  };
  compare.near("queries without a label", static_cast<double>(std::ranges::count_if(queries, is_unlabelled)),
               known.n_unlabelled_queries);
}

}  // namespace

MeanImage mean_image(const PreparedSet& set) {
  const auto length = static_cast<std::size_t>(set.height() * set.width() * 3);
  std::vector<std::uint64_t> sums(length, 0);
  for_each_piece(std::as_bytes(set.images()), length, [&](std::span<const std::byte> piece) {
    for (std::size_t begin = 0; begin < piece.size(); begin += length) {
      const std::byte* const picture = piece.data() + begin;
      for (std::size_t at = 0; at < length; ++at) sums[at] += std::to_integer<std::uint64_t>(picture[at]);
    }
  });
  const auto n_items = static_cast<double>(set.n_items());
  const auto [least, largest] = std::ranges::minmax(sums);
  const auto total = static_cast<double>(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}));
  return {total / static_cast<double>(length) / n_items, static_cast<double>(least) / n_items,
          static_cast<double>(largest) / n_items};
}

void compare_with_published(const PreparedSet& set, const CheckSink& check) {
  const Published* const known = published_of(set);
  if (known == nullptr) return;
  const Comparison compare(check);
  const Counts counts = count(set);
  const Json found = set.about().value("found", Json::object());
  compare.equal("number of items", set.n_items(), known->n_items);
  compare.equal("number of labels", set.n_labels(), known->n_labels);
  compare.equal("number of text dimensions", set.text_dim(), known->text_dim);
  if (found.contains("items") && found["items"].is_number_integer()) {
    compare.equal("number of photos in the source", found["items"].get<std::int64_t>(),
                  known->n_source_items);
  }
  compare_labels(set, *known, counts, compare);
  compare.either("ones in the texts", counts.n_tag_ones, found.value("tag_ones", Json()), known->n_tag_ones);
  compare.equal("items without text", counts.n_empty_text, known->n_empty_text);
  const Json choices = set.about().value("choices", Json::object());
  if (choices.value("split", Json()) == "row_order") {
    compare.equal("number of queries", std::ssize(set.rows(Part::kQuery)), known->n_query);
    compare.equal("number of training items", std::ssize(set.rows(Part::kTrain)), known->n_train);
  }
  if (choices.value("split", Json()) == "random") compare_chance(set, *known, compare);
  // A file of pictures holds them as somebody scaled them.
  const bool is_stretched = choices.value("fit", Json("stretch")) == "stretch";
  if (set.height() != 224 || set.width() != 224 || !is_stretched) return;
  const MeanImage mean = mean_image(set);
  compare.near("mean of the mean picture", mean.mean, known->mean_image[0]);
  compare.near("least value of the mean picture", mean.least, known->mean_image[1]);
  compare.near("largest value of the mean picture", mean.largest, known->mean_image[2]);
}

}  // namespace gauntlet::data::detail
