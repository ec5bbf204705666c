// Picto: every emoji once, alone on white, with all its words. 1,870 pairs, 26 labels.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "core/data/dataset.hpp"
#include "core/data/detail/emoji_sprites.hpp"
#include "core/data/detail/picto_set.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/data/detail/splits.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;

struct PictoConfig {
  std::int64_t seed = 1;       ///< order of the families, hence the split
  std::int64_t image_px = 64;  ///< side of a picture
  std::int64_t n_query = 200;
  std::int64_t n_train = 1000;
  detail::EmojiSourceConfig files;

  static void fields(auto& self, auto& visit) {
    visit("seed", self.seed, {.doc = "Order of the emoji families, hence the split.", .min = 0});
    visit("image_px", self.image_px, {.doc = "Side of a picture, pixels.", .min = 8, .max = 1024});
    visit("n_query", self.n_query,
          {.doc = "Queries; a few more when a family would be cut.", .min = 1, .max = 65535});
    visit("n_train", self.n_train,
          {.doc = "Training pairs; a few more when a family would be cut.", .min = 0, .max = 65535});
    detail::EmojiSourceConfig::fields(self.files, visit);
  }
};

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const PictoConfig options, read_config<PictoConfig>(config, "picto"));
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(options.files.sources()));
  return hashes.content_id();
}

/// Everything a row is made from; shared by the threads.
struct Material {
  detail::ConceptSet concepts;
  detail::PictoOrder order;
  detail::SpriteSheet sprites;
};

detail::RowFiller make_filler(const std::shared_ptr<const Material>& from, int px) {
  return [from, px, scaler = detail::SpriteScaler()](
             std::int64_t row, const detail::RowOut& out) mutable -> Result<detail::RowOutcome> {
    const std::uint32_t id = from->order.concept_ids[static_cast<std::size_t>(row)];
    const detail::Concept& entry = from->concepts.concepts[id];
    std::ranges::fill(out.image, std::uint8_t{255});
    detail::composite(out.image, px, scaler.scale(from->sprites[id], px), {.size = px});
    detail::mark_words(entry.words, out.text);
    detail::mark_labels(entry.labels, out.labels);
    return detail::RowOutcome{};
  };
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const PictoConfig options, read_config<PictoConfig>(config, "picto"));
  const detail::EmojiSources sources = options.files.sources();
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(sources));
  if (progress) progress(0.0, "reading emoji");
  GAUNTLET_TRY(detail::ConceptSet concepts, detail::read_concepts(sources));
  GAUNTLET_TRY(detail::PictoOrder order,
               detail::order_picto(concepts, static_cast<std::uint64_t>(options.seed), options.n_query,
                                   options.n_train));
  GAUNTLET_TRY(detail::SpriteSheet sprites, detail::read_sprites(sources.font, concepts.concepts));
  const detail::PreparedLayout layout = {.n_items = static_cast<std::int64_t>(concepts.concepts.size()),
                                         .height = options.image_px,
                                         .width = options.image_px,
                                         .text_dim = static_cast<std::int64_t>(concepts.vocabulary.size()),
                                         .n_labels = detail::kNumLabels};
  const Json choices = {{"seed", options.seed},
                        {"image_px", options.image_px},
                        {"n_query", options.n_query},
                        {"n_train", options.n_train}};
  const Json about =
      detail::describe_picto(concepts, hashes, "picto", kVersion,
                             fmt::format("picto({},{})", options.seed, options.image_px), choices);
  const detail::SplitSizes sizes = {.n_query = order.n_query, .n_train = order.n_train};
  const auto material =
      std::make_shared<const Material>(Material{std::move(concepts), std::move(order), std::move(sprites)});
  const int px = static_cast<int>(options.image_px);
  const detail::PreparedPlan plan = {
      .layout = layout,
      .about = about,
      .make_filler = [&] { return make_filler(material, px); },
      .make_split =
          [&](const detail::KeptRows& kept) { return detail::row_order_split(kept.n_items(), sizes); }};
  return detail::write_prepared(folder, plan, n_threads, progress);
}

}  // namespace

extern const DatasetEntry picto_entry;
constinit const DatasetEntry picto_entry{
    .about = {.name = "picto",
              .version = kVersion,
              .summary =
                  "Single emoji on white with their names, keywords and categories; 1,870 pairs, 26 labels",
              .reference = "Unicode 15.0 emoji-test.txt, CLDR 41 annotations, Noto Color Emoji 2.042",
              .fields = &describe_fields<PictoConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
