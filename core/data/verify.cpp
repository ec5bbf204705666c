// Checking a prepared folder against what it says of itself and against published numbers.
#include <fmt/core.h>

#include "core/base/hash.hpp"
#include "core/data/detail/emoji_sources.hpp"
#include "core/data/detail/known_sets.hpp"
#include "core/data/detail/picto_set.hpp"
#include "core/data/detail/prepared_files.hpp"
#include "core/data/inspect.hpp"

namespace gauntlet::data {
namespace {

/// Collects the checks.
class Report {
 public:
  void add(const std::string& name, bool ok, const std::string& detail) {
    checks_.push_back({{"name", name}, {"ok", ok}, {"detail", detail}});
    all_ok_ = all_ok_ && ok;
  }
  void add_equal(const std::string& name, const Json& found, const Json& expected) {
    const auto text = [](const Json& value) {
      return value.dump(-1, ' ', false, Json::error_handler_t::replace);
    };
    add(name, found == expected,
        found == expected ? text(found)
                          : fmt::format("{} was found, {} is expected", text(found), text(expected)));
  }
  [[nodiscard]] Json finish() const { return {{"format", 1}, {"ok", all_ok_}, {"checks", checks_}}; }

 private:
  Json checks_ = Json::array();
  bool all_ok_ = true;
};

std::span<const std::byte> bytes_of(const PreparedSet& set, std::string_view array) {
  if (array == "labels") return std::as_bytes(set.labels());
  if (array == "text")
    return set.text_is_binary() ? std::as_bytes(set.text_u8()) : std::as_bytes(set.text_f32());
  return set.height() > 0 ? std::as_bytes(set.images()) : std::as_bytes(set.features());
}

/// The hashes dataset.json gives, if it gives any (folders made by others need not).
Status check_hashes(const PreparedSet& set, const std::filesystem::path& folder, Report& report) {
  const Json hashes = set.about().value("hashes", Json::object());
  const std::pair<const char*, const char*> files[] = {
      {"images", set.height() > 0 ? "images.npy" : "image_features.npy"},
      {"text", "text.npy"},
      {"labels", "labels.npy"},
      {"split", "split.npy"}};
  for (const auto& [array, file] : files) {
    if (!hashes.contains(array)) continue;
    Sha256 hash;
    GAUNTLET_CHECK_OK(detail::pass_through(folder / file, [&](std::span<const std::byte> rows, std::int64_t) {
      hash.update(rows);
      return Status();
    }));
    report.add_equal(fmt::format("hash of {}", array), to_hex(hash.finish()), hashes[array]);
  }
  return {};
}

void check_counts(const PreparedSet& set, Report& report) {
  const Json counts = set.about().value("counts", Json::object());
  const std::pair<const char*, std::size_t> found[] = {{"items", static_cast<std::size_t>(set.n_items())},
                                                       {"query", set.rows(Part::kQuery).size()},
                                                       {"train", set.rows(Part::kTrain).size()},
                                                       {"retrieval", set.rows(Part::kRetrieval).size()}};
  for (const auto& [name, count] : found) {
    if (counts.contains(name)) report.add_equal(fmt::format("number of {} rows", name), count, counts[name]);
  }
}

/// Whether published hashes speak of this set: Debian 12's sources, seed 1, every choice that changes a row
/// at its default.
bool is_published(const Json& about) {
  const Json sources = about.value("sources", Json::object());
  for (const detail::SourceFile& file : detail::source_files()) {
    if (sources.value(std::string(file.name), Json()) != file.sha256) return false;
  }
  const Json choices = about.value("choices", Json::object());
  if (about.value("entry", Json()) == "picto") {
    return choices.value("seed", Json()) == 1;  // its boundaries do not change the rows
  }
  const Json defaults = {{"seed", 1},      {"k_max", 4},       {"label_first", 700}, {"size_lo", 400},
                         {"size_hi", 700}, {"word_drop", 200}, {"holdout", 0}};
  for (const auto& [name, value] : defaults.items()) {
    if (choices.value(name, Json()) != value) return false;
  }
  return true;
}

void check_published(const PreparedSet& set, Report& report) {
  if (!is_published(set.about())) return;
  for (const detail::PublishedHash& published : detail::published_hashes()) {
    const bool fits = set.about().value("entry", Json()) == published.entry &&
                      published.n_rows <= set.n_items() &&
                      (published.image_px == 0 || published.image_px == set.width());
    if (!fits) continue;
    const auto all = bytes_of(set, published.array);
    const auto rows = all.first(all.size() / static_cast<std::size_t>(set.n_items()) *
                                static_cast<std::size_t>(published.n_rows));
    report.add_equal(fmt::format("published hash of {}, first {} rows", published.array, published.n_rows),
                     to_hex(sha256(rows)), published.sha256);
  }
}

}  // namespace

Result<Json> verify(const std::filesystem::path& folder) {
  GAUNTLET_TRY(const PreparedSet set, PreparedSet::open(folder));
  Report report;
  report.add("shapes, types, labels and split", true, "agree");
  const Status values = detail::check_values(set, folder);
  report.add("values", values.has_value(), values ? "in range" : values.error().message);
  check_counts(set, report);
  GAUNTLET_CHECK_OK(check_hashes(set, folder, report));
  check_published(set, report);
  detail::compare_with_published(set, [&report](const std::string& name, bool ok, const std::string& detail) {
    report.add(name, ok, detail);
  });
  return report.finish();
}

}  // namespace gauntlet::data
