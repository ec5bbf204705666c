// An attack turns clean queries of one modality into adversarial ones.
// One more attack = one file in this folder, ending in `constinit const AttackEntry <name>_entry{…};`, and
// one line in attacks.def.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/models/hashing_model.hpp"
#include "core/registry/registry.hpp"

namespace gauntlet::attacks {

/// What is attacked, as the attack may see it. Everything outlives the attack.
struct AttackSurface {
  Modality modality = Modality::kImage;
  /// [B, …] → [B, K] in (-1,1), differentiable: the target model alone (static) or the whole defended
  /// pipeline (adaptive).
  std::function<torch::Tensor(const torch::Tensor&)> encode;
  torch::Tensor train_codes_image;  ///< [N, K] ±1: codes of the clean training set (the "global hash set")
  torch::Tensor train_codes_text;   ///< [N, K] ±1
  torch::Tensor train_labels;       ///< [N, C] 0/1
  double input_low = 0;             ///< valid range of an input value
  double input_high = 1;
  std::int64_t code_bits = 0;
};

/// A batch of inputs to perturb. Random draws come from RandomStream::of(seed, tag, row), so that a result
/// does not depend on the batch an input is in.
struct AttackBatch {
  torch::Tensor inputs;                ///< [B, 3, H, W] in [0,1], or [B, D]
  torch::Tensor labels;                ///< [B, C] 0/1
  std::span<const std::int64_t> rows;  ///< [B] dataset rows, the identity of each input
};

class Attack {
 public:
  virtual ~Attack() = default;
  /// Adversarial inputs of the same shape, within the budget and the valid range. Model weights and train
  /// flags are unchanged.
  virtual torch::Tensor perturb(const AttackBatch& batch) = 0;
  [[nodiscard]] virtual std::int64_t queries_used() const { return 0; }  ///< of a black-box attack so far
};

struct AttackEntry {
  EntryInfo about;
  /// `seed` is the stream family of this attack's random draws. nullptr for "none", which is never crafted.
  Result<std::unique_ptr<Attack>> (*make)(const Json& config, AttackSurface surface, std::uint64_t seed);
};

[[nodiscard]] const Registry<AttackEntry>& attack_registry();

}  // namespace gauntlet::attacks
