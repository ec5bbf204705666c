#include "core/data/detail/emoji_scenes.hpp"

#include <algorithm>
#include <set>

#include "core/base/check.hpp"
#include "core/base/random.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::uint64_t kSceneTag = 1;
constexpr std::uint64_t kHoldoutTag = 3;

Rgb draw_colour(RandomStream& random) {
  Rgb colour;
  for (std::uint8_t& channel : colour) channel = static_cast<std::uint8_t>(128 + random.below(128));
  return colour;
}

void paint_background(const Scene& scene, int px, std::span<std::uint8_t> canvas) {
  std::vector<Rgb> ramp(static_cast<std::size_t>(px), scene.from);
  for (int at = 0; scene.gradient && at < px; ++at) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const int mixed = scene.from[channel] * (px - 1 - at) + scene.to[channel] * at + (px - 1) / 2;
      ramp[static_cast<std::size_t>(at)][channel] = static_cast<std::uint8_t>(mixed / (px - 1));
    }
  }
  for (int y = 0; y < px; ++y) {
    for (int x = 0; x < px; ++x) {
      const Rgb& colour = ramp[static_cast<std::size_t>(scene.along_columns ? x : y)];
      std::ranges::copy(colour, canvas.begin() + static_cast<std::ptrdiff_t>(y * px + x) * 3);
    }
  }
}

}  // namespace

Result<ScenePlanner> ScenePlanner::create(const ConceptSet& set, const SceneChoices& choices) {
  ScenePlanner planner(set, choices);
  const auto add = [&](Pool& pool, std::uint32_t id) {
    pool.all.push_back(id);
    for (std::size_t label = 0; label < kNumLabels; ++label) {
      if ((set.concepts[id].labels >> label & 1U) != 0) pool.by_label[label].push_back(id);
    }
  };
  for (std::uint32_t id = 0; id < set.concepts.size(); ++id) {
    const bool held_out =
        choices.holdout > 0 &&
        RandomStream::of(choices.seed, kHoldoutTag, set.concepts[id].family).below(1000) < choices.holdout;
    add(held_out ? planner.query_pool_ : planner.other_pool_, id);
  }
  if (choices.holdout > 0 && (planner.query_pool_.all.empty() || planner.other_pool_.all.empty())) {
    return fail(ErrorCode::kInvalid,
                "holdout {} (per mille of emoji families) leaves no emoji for {}; choose another value",
                choices.holdout, planner.query_pool_.all.empty() ? "queries" : "the other rows");
  }
  return planner;
}

const ScenePlanner::Pool& ScenePlanner::pool(std::int64_t row) const {
  return choices_.holdout > 0 && row < choices_.n_query ? query_pool_ : other_pool_;
}

std::span<const std::uint32_t> ScenePlanner::pool_of(std::int64_t row) const { return pool(row).all; }

Scene ScenePlanner::scene(std::int64_t row) const {
  const Pool& concepts = pool(row);
  const auto px = static_cast<std::uint32_t>(choices_.image_px);
  const std::uint32_t smallest = std::max(1U, px * choices_.size_lo / 1000);
  const std::uint32_t largest = std::max(smallest, px * choices_.size_hi / 1000);
  RandomStream random = RandomStream::of(choices_.seed, kSceneTag, static_cast<std::uint64_t>(row));

  Scene scene;
  const std::uint32_t n_objects = 1 + random.below(choices_.k_max);
  scene.gradient = random.below(2) == 1;
  scene.along_columns = random.below(2) == 1;
  scene.from = draw_colour(random);
  scene.to = draw_colour(random);
  std::set<std::uint16_t> words;
  for (std::uint32_t object_idx = 0; object_idx < n_objects; ++object_idx) {
    const bool by_label = random.below(1000) < choices_.label_first;
    const std::vector<std::uint32_t>& labelled = concepts.by_label[random.below(kNumLabels)];
    const std::vector<std::uint32_t>& list = by_label && !labelled.empty() ? labelled : concepts.all;
    SceneObject object;
    object.concept_id = list[random.below(static_cast<std::uint32_t>(list.size()))];
    const std::uint32_t size = smallest + random.below(largest - smallest + 1);
    object.place.size = static_cast<int>(size);
    object.place.x = static_cast<int>(random.below(px - size + 1));
    object.place.y = static_cast<int>(random.below(px - size + 1));
    object.place.mirror = random.below(2) == 1;
    const Concept& entry = set_->concepts[object.concept_id];
    scene.labels |= entry.labels;
    words.insert(entry.words.begin(), entry.words.end());
    scene.objects.push_back(object);
  }
  for (const std::uint16_t word : words) {
    if (random.below(1000) >= choices_.word_drop) scene.words.push_back(word);
  }
  return scene;
}

void paint(const Scene& scene, const SpriteSheet& sprites, SpriteScaler& scaler, int px,
           std::span<std::uint8_t> canvas) {
  GAUNTLET_CHECK(canvas.size() == static_cast<std::size_t>(px) * static_cast<std::size_t>(px) * 3);
  paint_background(scene, px, canvas);
  for (const SceneObject& object : scene.objects) {
    composite(canvas, px, scaler.scale(sprites[object.concept_id], object.place.size), object.place);
  }
}

}  // namespace gauntlet::data::detail
