// Picto XL: every emoji in the drawings of two makers, alone on white, with all its words; 28 labels.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "core/base/hash.hpp"
#include "core/base/program.hpp"
#include "core/data/dataset.hpp"
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
    detail::EmojiSourceConfig::fields(self.files, visit);
  }
};

/// A row: a concept, in the font's drawing or in the other.
struct Row {
  std::uint32_t concept_id = 0;
  bool is_second = false;
};

/// Everything rows are made from; shared by the threads.
struct Material {
  detail::ConceptSet concepts;
  std::vector<std::filesystem::path> drawings;
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
  return to_hex(sha256(hashes.content_id() + identity.content_id()));
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const XlConfig options, read_config<XlConfig>(config, kName));
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(options.files.sources()));
  return identity_of(options, hashes);
}

/// Families in the order of the seed, in each the concepts in theirs, of each the font's drawing first.
Result<std::vector<Row>> rows_of(const Material& material, const XlConfig& options) {
  GAUNTLET_TRY(const detail::PictoOrder order,
               detail::order_picto(material.concepts, static_cast<std::uint64_t>(options.seed), 0, 0));
  std::vector<Row> rows;
  for (const std::uint32_t id : order.concept_ids) {
    rows.push_back({id, false});
    if (!material.drawings[id].empty()) rows.push_back({id, true});
  }
  return rows;
}

/// The boundary moved forward to the end of the family it would cut: all drawings of a family stay together.
std::int64_t end_of_family(const Material& material, std::int64_t boundary) {
  const auto family = [&](std::int64_t row) {
    return material.concepts.concepts[material.rows[static_cast<std::size_t>(row)].concept_id].family;
  };
  const auto n_rows = static_cast<std::int64_t>(material.rows.size());
  boundary = std::min(boundary, n_rows);
  while (boundary > 0 && boundary < n_rows && family(boundary) == family(boundary - 1)) ++boundary;
  return boundary;
}

detail::RowFiller make_filler(const Material& from, int px) {
  return [&from, px, scaler = detail::SpriteScaler()](
             std::int64_t row, const detail::RowOut& out) mutable -> Result<detail::RowOutcome> {
    const Row& what = from.rows[static_cast<std::size_t>(row)];
    const detail::Concept& entry = from.concepts.concepts[what.concept_id];
    if (what.is_second) {
      const std::filesystem::path& path = from.drawings[what.concept_id];
      GAUNTLET_TRY(const io::RgbImage picture, io::read_png(path));
      if (picture.width != picture.height || picture.width > 2000) {
        return fail(ErrorCode::kInvalid, "{} is {} x {} pixels; a square of at most 2000 is expected",
                    path.string(), picture.width, picture.height);
      }
      detail::scale_by_area(picture, px, out.image);
    } else {
      std::ranges::fill(out.image, std::uint8_t{255});
      detail::composite(out.image, px, scaler.scale(from.sprites[what.concept_id], px), {.size = px});
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
  Material material{std::move(concepts), std::move(drawings), {}, std::move(sprites)};
  GAUNTLET_TRY(material.rows, rows_of(material, options));
  const std::int64_t n_query = end_of_family(material, options.n_query);
  const detail::SplitSizes sizes = {n_query, end_of_family(material, n_query + options.n_train) - n_query};
  const Json choices = {{"seed", options.seed},
                        {"image_px", options.image_px},
                        {"n_query", options.n_query},
                        {"n_train", options.n_train}};
  Json about =
      detail::describe_picto(material.concepts, hashes, kName, kVersion,
                             fmt::format("picto_xl({},{})", options.seed, options.image_px), choices);
  about["label_names"] = detail::xl_label_names();
  about["source"] = identity;
  about["licence"] = about["licence"].get<std::string>() + " Second drawings: EmojiOne, CC BY-SA 4.0.";
  const int px = static_cast<int>(options.image_px);
  const detail::PreparedPlan plan = {
      .layout = {.n_items = static_cast<std::int64_t>(material.rows.size()),
                 .height = px,
                 .width = px,
                 .text_dim = static_cast<std::int64_t>(material.concepts.vocabulary.size()),
                 .n_labels = detail::kNumXlLabels},
      .about = std::move(about),
      .make_filler = [&] { return make_filler(material, px); },
      .make_split =
          [&](const detail::KeptRows& kept) { return detail::row_order_split(kept.n_items(), sizes); }};
  return detail::write_prepared(folder, plan, n_threads, progress);
}

}  // namespace

extern const DatasetEntry picto_xl_entry;
constinit const DatasetEntry picto_xl_entry{
    .about =
        {.name = kName,
         .version = kVersion,
         .summary =
             "Emoji in two makers' drawings with their words and categories; about 3,600 pairs, 28 labels",
         .reference =
             "Unicode 15.0 emoji-test.txt, CLDR 41, Noto Color Emoji 2.042, EmojiOne 3 (gemojione 3.3.0)",
         .fields = &describe_fields<XlConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
