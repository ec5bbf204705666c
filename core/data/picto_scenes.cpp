// Picto scenes: generated compositions of one to k emoji with the union of their words and labels. The
// pictures, words and categories are real and made by people; what stands together in a scene is drawn from a
// seed.
#include <fmt/core.h>

#include <memory>

#include "core/data/dataset.hpp"
#include "core/data/detail/emoji_scenes.hpp"
#include "core/data/detail/picto_set.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/data/detail/splits.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kVersion = 1;

struct ScenesConfig {
  std::string preset = "quick";  ///< sizes below that are 0 take this preset's value
  std::int64_t image_px = 0;
  std::int64_t n_pairs = 0;
  std::int64_t n_query = 0;
  std::int64_t n_train = 0;
  std::int64_t seed = 1;
  std::int64_t k_max = 4;
  std::int64_t label_first = 700;
  std::int64_t size_lo = 400;
  std::int64_t size_hi = 700;
  std::int64_t word_drop = 200;
  std::int64_t holdout = 0;
  detail::EmojiSourceConfig files;

  static void fields(auto& self, auto& visit) {
    visit("preset", self.preset,
          {.doc = "full: 64 px, 20,015 pairs, 2,000 queries, 5,000 train (the sizes of FLICKR-25K); quick: "
                  "48 px, 6,300, 300, "
                  "5,000; smoke: 32 px, 500, 50, 300; custom: every size given here.",
           .choices = {"full", "quick", "smoke", "custom"}});
    visit("image_px", self.image_px,
          {.doc = "Side of a picture, pixels; 0: the preset's.", .min = 0, .max = 1024});
    visit("n_pairs", self.n_pairs, {.doc = "Pairs in all; 0: the preset's.", .min = 0, .max = 10'000'000});
    visit("n_query", self.n_query,
          {.doc = "Queries, the first rows; 0: the preset's.", .min = 0, .max = 10'000'000});
    visit(
        "n_train", self.n_train,
        {.doc = "Training pairs, the rows after the queries; 0: the preset's.", .min = 0, .max = 10'000'000});
    visit("seed", self.seed, {.doc = "Draws the scenes.", .min = 0});
    visit("k_max", self.k_max, {.doc = "Most emoji per scene.", .min = 1, .max = 16});
    visit("label_first", self.label_first,
          {.doc = "Per mille of emoji drawn by first drawing a label, so that rare labels are seen.",
           .min = 0,
           .max = 1000});
    visit("size_lo", self.size_lo,
          {.doc = "Least size of an emoji, per mille of the side.", .min = 1, .max = 1000});
    visit("size_hi", self.size_hi,
          {.doc = "Largest size of an emoji, per mille of the side.", .min = 1, .max = 1000});
    visit("word_drop", self.word_drop, {.doc = "Per mille of words left out.", .min = 0, .max = 1000});
    visit("holdout", self.holdout,
          {.doc = "Per mille of emoji families seen in queries only; 0: queries and the rest draw from all.",
           .min = 0,
           .max = 999});
    detail::EmojiSourceConfig::fields(self.files, visit);
  }
};

struct Preset {
  std::string_view name;
  std::int64_t image_px, n_pairs, n_query, n_train;
};
constexpr Preset kPresets[] = {{"full", 64, 20015, 2000, 5000},
                               {"quick", 48, 6300, 300, 5000},
                               {"smoke", 32, 500, 50, 300},
                               {"custom", 0, 0, 0, 0}};

/// The choices with the preset filled in. Errors (kInvalid): sizes missing, or that do not fit one another.
Result<detail::SceneChoices> choices_from(const ScenesConfig& config) {
  const Preset* preset = std::ranges::find(kPresets, config.preset, &Preset::name);
  const auto or_else = [](std::int64_t value, std::int64_t otherwise) {
    return value != 0 ? value : otherwise;
  };
  detail::SceneChoices choices;
  choices.image_px = static_cast<int>(or_else(config.image_px, preset->image_px));
  choices.n_pairs = or_else(config.n_pairs, preset->n_pairs);
  choices.n_query = or_else(config.n_query, preset->n_query);
  choices.n_train = or_else(config.n_train, preset->n_train);
  choices.seed = static_cast<std::uint64_t>(config.seed);
  choices.k_max = static_cast<std::uint32_t>(config.k_max);
  choices.label_first = static_cast<std::uint32_t>(config.label_first);
  choices.size_lo = static_cast<std::uint32_t>(config.size_lo);
  choices.size_hi = static_cast<std::uint32_t>(config.size_hi);
  choices.word_drop = static_cast<std::uint32_t>(config.word_drop);
  choices.holdout = static_cast<std::uint32_t>(config.holdout);
  if (choices.image_px == 0 || choices.n_pairs == 0 || choices.n_query == 0 || choices.n_train == 0) {
    return fail(ErrorCode::kInvalid,
                "picto_scenes: preset 'custom' needs image_px, n_pairs, n_query and n_train, each above 0");
  }
  if (choices.image_px < 8) {
    return fail(ErrorCode::kInvalid, "picto_scenes: 'image_px' is {}; allowed: 0 (the preset's) or 8 to 1024",
                choices.image_px);
  }
  if (choices.n_query + choices.n_train > choices.n_pairs) {
    return fail(ErrorCode::kInvalid, "picto_scenes: n_query {} and n_train {} are more than the {} pairs",
                choices.n_query, choices.n_train, choices.n_pairs);
  }
  if (choices.size_lo > choices.size_hi) {
    return fail(ErrorCode::kInvalid, "picto_scenes: 'size_lo' is {}; allowed: at most size_hi, {}",
                choices.size_lo, choices.size_hi);
  }
  return choices;
}

Result<std::string> content_id(const Json& config) {
  GAUNTLET_TRY(const ScenesConfig options, read_config<ScenesConfig>(config, "picto_scenes"));
  GAUNTLET_CHECK_OK(choices_from(options));
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(options.files.sources()));
  return hashes.content_id();
}

Json to_json(const detail::SceneChoices& choices) {
  return {{"seed", choices.seed},
          {"image_px", choices.image_px},
          {"n_pairs", choices.n_pairs},
          {"n_query", choices.n_query},
          {"n_train", choices.n_train},
          {"k_max", choices.k_max},
          {"label_first", choices.label_first},
          {"size_lo", choices.size_lo},
          {"size_hi", choices.size_hi},
          {"word_drop", choices.word_drop},
          {"holdout", choices.holdout}};
}

/// Everything a row is made from; shared by the threads. The planner points into the concepts.
struct Material {
  detail::ConceptSet concepts;
  detail::SpriteSheet sprites;
};

detail::RowFiller make_filler(const Material& from, const detail::ScenePlanner& planner, int px) {
  return [&from, &planner, px, scaler = detail::SpriteScaler()](
             std::int64_t row, const detail::RowOut& out) mutable -> Result<detail::RowOutcome> {
    const detail::Scene scene = planner.scene(row);
    detail::paint(scene, from.sprites, scaler, px, out.image);
    detail::mark_words(scene.words, out.text);
    detail::mark_labels(scene.labels, out.labels);
    return detail::RowOutcome{};
  };
}

Status prepare(const Json& config, const std::filesystem::path& folder, int n_threads,
               const ProgressFn& progress) {
  GAUNTLET_TRY(const ScenesConfig options, read_config<ScenesConfig>(config, "picto_scenes"));
  GAUNTLET_TRY(const detail::SceneChoices choices, choices_from(options));
  const detail::EmojiSources sources = options.files.sources();
  GAUNTLET_TRY(const detail::SourceHashes hashes, detail::hash_sources(sources));
  if (progress) progress(0.0, "reading emoji");
  GAUNTLET_TRY(detail::ConceptSet concepts, detail::read_concepts(sources));
  GAUNTLET_TRY(detail::SpriteSheet sprites, detail::read_sprites(sources.font, concepts.concepts));
  const Material material{std::move(concepts), std::move(sprites)};
  GAUNTLET_TRY(const auto planner, detail::ScenePlanner::create(material.concepts, choices));
  const detail::PreparedLayout layout = {
      .n_items = choices.n_pairs,
      .height = choices.image_px,
      .width = choices.image_px,
      .text_dim = static_cast<std::int64_t>(material.concepts.vocabulary.size()),
      .n_labels = detail::kNumLabels};
  const std::string holdout = choices.holdout > 0 ? fmt::format(",holdout={}", choices.holdout) : "";
  const std::string name = fmt::format("picto_scenes({},{}{})", choices.seed, choices.image_px, holdout);
  const detail::SplitSizes sizes = {.n_query = choices.n_query, .n_train = choices.n_train};
  const detail::PreparedPlan plan = {
      .layout = layout,
      .about =
          detail::describe_picto(material.concepts, hashes, "picto_scenes", kVersion, name, to_json(choices)),
      .make_filler = [&] { return make_filler(material, planner, choices.image_px); },
      .make_split =
          [&](const detail::KeptRows& kept) { return detail::row_order_split(kept.n_items(), sizes); }};
  return detail::write_prepared(folder, plan, n_threads, progress);
}

}  // namespace

extern const DatasetEntry picto_scenes_entry;
constinit const DatasetEntry picto_scenes_entry{
    .about = {.name = "picto_scenes",
              .version = kVersion,
              .summary = "Generated scenes of real emoji with their words and categories; 26 labels, "
                         "in-distribution or held-out",
              .reference = "Unicode 15.0 emoji-test.txt, CLDR 41 annotations, Noto Color Emoji 2.042",
              .fields = &describe_fields<ScenesConfig>},
    .content_id = &content_id,
    .prepare = &prepare};

}  // namespace gauntlet::data
