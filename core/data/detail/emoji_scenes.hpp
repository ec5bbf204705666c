// Generated scenes: which emoji stand where, in what words, under which labels. Everything about a scene but
// its pixels is known without rendering; pair i depends on the choices and i alone.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/detail/emoji_concepts.hpp"
#include "core/data/detail/emoji_sprites.hpp"

namespace gauntlet::data::detail {

/// Per-mille values are out of 1000.
struct SceneChoices {
  std::uint64_t seed = 1;
  int image_px = 64;
  std::int64_t n_pairs = 20015;
  std::int64_t n_query = 2000;
  std::int64_t n_train = 5000;
  std::uint32_t k_max = 4;          ///< most objects per scene
  std::uint32_t label_first = 700;  ///< per mille: draw a label first, then a concept that has it
  std::uint32_t size_lo = 400;      ///< per mille of the canvas
  std::uint32_t size_hi = 700;
  std::uint32_t word_drop = 200;  ///< per mille of words left out
  std::uint32_t holdout = 0;      ///< per mille of families seen in queries only
};

struct SceneObject {
  std::uint32_t concept_id = 0;
  Placement place;
};

using Rgb = std::array<std::uint8_t, 3>;

struct Scene {
  bool gradient = false;
  bool along_columns = false;  ///< direction of the gradient: false top to bottom, true left to right
  Rgb from = {};
  Rgb to = {};
  std::vector<SceneObject> objects;  ///< in paint order
  LabelMask labels = 0;
  std::vector<std::uint16_t> words;  ///< vocabulary indices, rising
};

/// Draws scenes. Immutable; may be shared by threads. `set` must outlive it.
class ScenePlanner {
 public:
  /// Errors (kInvalid): holding out leaves no concept on one side.
  [[nodiscard]] static Result<ScenePlanner> create(const ConceptSet& set, const SceneChoices& choices);

  [[nodiscard]] Scene scene(std::int64_t row) const;

  /// Concepts a row draws from, in id order.
  [[nodiscard]] std::span<const std::uint32_t> pool_of(std::int64_t row) const;

 private:
  struct Pool {
    std::vector<std::uint32_t> all;
    std::array<std::vector<std::uint32_t>, kNumLabels> by_label;
  };
  ScenePlanner(const ConceptSet& set, const SceneChoices& choices) : set_(&set), choices_(choices) {}
  [[nodiscard]] const Pool& pool(std::int64_t row) const;

  const ConceptSet* set_;
  SceneChoices choices_;
  Pool query_pool_;
  Pool other_pool_;
};

/// Paints u8 [px, px, 3].
void paint(const Scene& scene, const SpriteSheet& sprites, SpriteScaler& scaler, int px,
           std::span<std::uint8_t> canvas);

}  // namespace gauntlet::data::detail
