// Picto XL: every emoji in the drawings of two makers, alone on white, with all its words; 28 labels. On
// request also drawings of Open Clip Art and of Tux Paint.
#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>

#include "core/base/hash.hpp"
#include "core/base/program.hpp"
#include "core/base/random.hpp"
#include "core/data/dataset.hpp"
#include "core/data/detail/clipart.hpp"
#include "core/data/detail/emoji_drawings.hpp"
#include "core/data/detail/emoji_sprites.hpp"
#include "core/data/detail/photo_set.hpp"
#include "core/data/detail/picto_set.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/data/detail/splits.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kName = "picto_xl";

struct XlConfig {
  std::int64_t seed = 1;
  std::int64_t image_px = 64;
  std::int64_t n_query = 300;
  std::int64_t n_train = 2000;
  std::string drawings = "/usr/share/rubygems-integration/all/gems/gemojione-3.3.0/assets/png";
  std::string openclipart;
  std::string stamps;
  detail::EmojiSourceConfig files;

  static void fields(auto& self, auto& visit) {
    visit("seed", self.seed, {.doc = "Order of the emoji families, hence the split.", .min = 0});
    visit("image_px", self.image_px, {.doc = "Side of a picture, pixels.", .min = 8, .max = 1024});
    visit("n_query", self.n_query,
          {.doc = "Queries; a few more when a family would be cut.", .min = 1, .max = 65535});
    visit("n_train", self.n_train,
          {.doc = "Training pairs; a few more when a family would be cut.", .min = 0, .max = 65535});
    visit("drawings", self.drawings,
          {.doc = "Folder of EmojiOne's PNG files (Debian package ruby-gemojione).", .location = true});
    visit(
        "openclipart", self.openclipart,
        {.doc = "Open Clip Art's drawings too: the folder with png/ and svg/, /usr/share/openclipart (Debian "
                "packages openclipart-png and openclipart-svg); empty: without.",
         .location = true});
    visit("stamps", self.stamps,
          {.doc =
               "Tux Paint's stamps too: /usr/share/tuxpaint/stamps (Debian package tuxpaint-stamps-default); "
               "empty: without.",
           .location = true});
    detail::EmojiSourceConfig::fields(self.files, visit);
  }
};

/// A row: a concept in the font's drawing or in the other, or a drawing of a collection.
struct Row {
  enum class Kind : std::uint8_t { kFont, kSecond, kClipart };
  std::uint32_t family = 0;
  Kind kind = Kind::kFont;
  std::uint32_t index = 0;  ///< of the concept, or of the drawing
};

/// Everything rows are made from; shared by the threads.
struct Material {
  detail::ConceptSet concepts;
  std::vector<std::filesystem::path> drawings;
  std::vector<detail::Clipart> clipart;
  std::vector<std::vector<std::uint16_t>> clipart_words;  ///< of each, in the vocabulary
  std::vector<std::string> vocabulary;  ///< the emoji's words, then those of the collections
  std::vector<Row> rows;
  detail::SpriteSheet sprites;
};

Result<std::string> identity_of(const XlConfig& options, const detail::SourceHashes& hashes) {
  std::error_code ignored;
  const std::filesystem::path drawings = installed_path(options.drawings);
  if (!std::filesystem::is_directory(drawings, ignored)) {
    return fail(
        ErrorCode::kNotFound,
        "{} is missing; it comes with the Debian package ruby-gemojione: apt-get install ruby-gemojione",
        options.drawings);
  }
  detail::SourceIdentity identity;
  GAUNTLET_CHECK_OK(identity.add_small_files(drawings, "drawings"));
  if (!options.openclipart.empty()) {
    GAUNTLET_CHECK_OK(detail::check_openclipart(options.openclipart));
    GAUNTLET_CHECK_OK(identity.add_pictures(options.openclipart, "openclipart"));
  }
  if (!options.stamps.empty()) {
    GAUNTLET_CHECK_OK(detail::check_stamps(options.stamps));
    GAUNTLET_CHECK_OK(identity.add_pictures(options.stamps, "stamps"));
  }
  return to_hex(sha256(hashes.content_id() + identity.content_id()));
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const XlConfig options, read_config<XlConfig>(config, kName));
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(options.files.sources()));
  return identity_of(options, hashes);
}

/// The collections that were asked for, and their words: in the emoji's vocabulary, else in what follows it,
/// words that two or more drawings have, most frequent first, ties by bytes.
Status add_collections(const XlConfig& options, Material& material) {
  const auto add = [&](Result<std::vector<detail::Clipart>> found) -> Status {
    if (!found) return fail(found.error());
    std::ranges::move(*found, std::back_inserter(material.clipart));
    return {};
  };
  if (!options.openclipart.empty()) GAUNTLET_CHECK_OK(add(detail::read_openclipart(options.openclipart)));
  if (!options.stamps.empty()) GAUNTLET_CHECK_OK(add(detail::read_stamps(options.stamps)));
  material.vocabulary = material.concepts.vocabulary;
  std::map<std::string, std::size_t> columns;
  for (const std::string& word : material.vocabulary) columns.emplace(word, columns.size());
  std::map<std::string, std::int64_t> counts;
  for (const detail::Clipart& each : material.clipart)
    for (const std::string& word : each.words) counts[word] += columns.contains(word) ? 0 : 1;
  std::vector<std::pair<std::int64_t, std::string>> ranked;
  for (const auto& [word, n] : counts)
    if (n >= 2) ranked.emplace_back(-n, word);
  std::ranges::sort(ranked);
  for (const auto& [n, word] : ranked) {
    columns.emplace(word, material.vocabulary.size());
    material.vocabulary.push_back(word);
  }
  for (const detail::Clipart& each : material.clipart) {
    std::vector<std::uint16_t>& words = material.clipart_words.emplace_back();
    for (const std::string& word : each.words) {
      const auto found = columns.find(word);
      if (found != columns.end()) words.push_back(static_cast<std::uint16_t>(found->second));
    }
  }
  return {};
}

/// Families in the order of the seed, in each the concepts in theirs, of each the font's drawing first. The
/// drawings of a collection are of the family of the emoji whose name is their stem, else of their stem's
/// own.
std::vector<Row> rows_of(const Material& material, std::uint64_t seed) {
  constexpr std::uint64_t kFamilyOrderTag = 2;  // as in `picto`
  std::vector<Row> rows;
  std::map<std::string, std::uint32_t> families;
  for (std::uint32_t id = 0; id < material.concepts.concepts.size(); ++id) {
    const detail::Concept& entry = material.concepts.concepts[id];
    std::string stem;
    for (const std::string& token : detail::tokens_of(entry.name)) stem += (stem.empty() ? "" : "_") + token;
    families.emplace(stem, entry.family);
    rows.push_back({entry.family, Row::Kind::kFont, id});
    if (!material.drawings[id].empty()) rows.push_back({entry.family, Row::Kind::kSecond, id});
  }
  std::uint32_t n_families = material.concepts.n_families;
  for (std::uint32_t at = 0; at < material.clipart.size(); ++at) {
    const auto [family, is_new] = families.emplace(material.clipart[at].stem, n_families);
    n_families += is_new ? 1 : 0;
    rows.push_back({family->second, Row::Kind::kClipart, at});
  }
  std::vector<std::uint64_t> keys(n_families);
  for (std::uint32_t family = 0; family < n_families; ++family)
    keys[family] = RandomStream::of(seed, kFamilyOrderTag, family).state();
  std::ranges::stable_sort(rows, {}, [&](const Row& row) { return std::pair(keys[row.family], row.family); });
  return rows;
}

/// The boundary moved forward to the end of the family it would cut: all drawings of a family stay together.
std::int64_t end_of_family(const Material& material, std::int64_t boundary) {
  const auto family = [&](std::int64_t row) { return material.rows[static_cast<std::size_t>(row)].family; };
  const auto n_rows = static_cast<std::int64_t>(material.rows.size());
  boundary = std::min(boundary, n_rows);
  while (boundary > 0 && boundary < n_rows && family(boundary) == family(boundary - 1)) ++boundary;
  return boundary;
}

detail::RowFiller make_filler(const Material& from, int px) {
  return [&from, px, scaler = detail::SpriteScaler()](
             std::int64_t row, const detail::RowOut& out) mutable -> Result<detail::RowOutcome> {
    const Row& what = from.rows[static_cast<std::size_t>(row)];
    if (what.kind == Row::Kind::kClipart) {
      const detail::Clipart& drawing = from.clipart[what.index];
      const Status drawn = detail::draw_clipart(drawing.picture, px, out.image);
      if (!drawn && (drawn.error().code == ErrorCode::kCorrupt || drawn.error().code == ErrorCode::kInvalid))
        return detail::RowOutcome{.dropped = drawn.error().message};
      GAUNTLET_CHECK_OK(drawn);
      detail::mark_words(from.clipart_words[what.index], out.text);
      detail::mark_labels(drawing.labels, out.labels);
      return detail::RowOutcome{};
    }
    const detail::Concept& entry = from.concepts.concepts[what.index];
    if (what.kind == Row::Kind::kSecond) {
      const std::filesystem::path& path = from.drawings[what.index];
      GAUNTLET_TRY(const io::RgbImage picture, io::read_png(path));
      if (picture.width != picture.height || picture.width > 2000) {
        return fail(ErrorCode::kInvalid, "{} is {} x {} pixels; a square of at most 2000 is expected",
                    path.string(), picture.width, picture.height);
      }
      detail::scale_by_area(picture, px, out.image);
    } else {
      std::ranges::fill(out.image, std::uint8_t{255});
      detail::composite(out.image, px, scaler.scale(from.sprites[what.index], px), {.size = px});
    }
    detail::mark_words(entry.words, out.text);
    detail::mark_labels(detail::xl_labels(entry), out.labels);
    return detail::RowOutcome{};
  };
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const XlConfig options, read_config<XlConfig>(config, kName));
  const detail::EmojiSources sources = options.files.sources();
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(sources));
  GAUNTLET_TRY(const std::string identity, identity_of(options, hashes));
  if (progress) progress(0.0, "reading emoji");
  GAUNTLET_TRY(detail::ConceptSet concepts, detail::read_concepts(sources));
  GAUNTLET_TRY(auto drawings, detail::find_drawings(installed_path(options.drawings), concepts.concepts));
  GAUNTLET_TRY(detail::SpriteSheet sprites, detail::read_sprites(sources.font, concepts.concepts));
  Material material{.concepts = std::move(concepts),
                    .drawings = std::move(drawings),
                    .clipart = {},
                    .clipart_words = {},
                    .vocabulary = {},
                    .rows = {},
                    .sprites = std::move(sprites)};
  if (progress) progress(0.0, "reading collections");
  GAUNTLET_CHECK_OK(add_collections(options, material));
  material.rows = rows_of(material, static_cast<std::uint64_t>(options.seed));
  const std::int64_t n_query = end_of_family(material, options.n_query);
  const std::int64_t n_train_end = end_of_family(material, n_query + options.n_train);
  const Json choices = {{"seed", options.seed},
                        {"image_px", options.image_px},
                        {"n_query", options.n_query},
                        {"n_train", options.n_train}};
  const std::string extras = std::string(options.openclipart.empty() ? "" : ",+openclipart") +
                             (options.stamps.empty() ? "" : ",+stamps");
  Json about = detail::describe_picto(
      material.concepts, hashes, kName, kVersion,
      fmt::format("picto_xl({},{}{})", options.seed, options.image_px, extras), choices);
  about["label_names"] = detail::xl_label_names();
  if (!material.clipart.empty()) {
    about["text_names"] = material.vocabulary;
    about.erase("vocabulary");
  }
  about["source"] = identity;
  about["licence"] = about["licence"].get<std::string>() + " Second drawings: EmojiOne, CC BY-SA 4.0.";
  if (!options.openclipart.empty())
    about["licence"] = about["licence"].get<std::string>() + " Open Clip Art: public domain.";
  if (!options.stamps.empty())
    about["licence"] = about["licence"].get<std::string>() + " Tux Paint's stamps: GPL-2.";
  const int px = static_cast<int>(options.image_px);
  const detail::PreparedPlan plan = {
      .layout = {.n_items = static_cast<std::int64_t>(material.rows.size()),
                 .height = px,
                 .width = px,
                 .text_dim = static_cast<std::int64_t>(material.vocabulary.size()),
                 .n_labels = detail::kNumXlLabels},
      .about = std::move(about),
      .make_filler = [&] { return make_filler(material, px); },
      .make_split =
          [&](const detail::KeptRows& kept) {
            const auto n_before = [&](std::int64_t row) {
              return std::ranges::lower_bound(kept.source_rows, row) - kept.source_rows.begin();
            };
            const std::int64_t n_kept_queries = n_before(n_query);
            return detail::row_order_split(kept.n_items(),
                                           {n_kept_queries, n_before(n_train_end) - n_kept_queries});
          }};
  return detail::write_prepared(folder, plan, n_threads, progress);
}

}  // namespace

extern const DatasetEntry picto_xl_entry;
constinit const DatasetEntry picto_xl_entry{
    .about =
        {.name = kName,
         .version = kVersion,
         .summary = "Emoji in two makers' drawings with their words and categories; 3,239 pairs and more on "
                    "request, 28 labels",
         .reference =
             "Unicode 15.0 emoji-test.txt, CLDR 41, Noto Color Emoji 2.042, EmojiOne 3 (gemojione 3.3.0)",
         .fields = &describe_fields<XlConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
