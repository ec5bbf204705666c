// Mainstay codes and the objectives that follow them: Yuan et al., "Semantic-Aware Adversarial Training for
// Reliable Deep Hashing Retrieval" (SAAT, IEEE TIFS 2023) and its cross-modal release. The attack `mainstay`
// and the defenses `saat` and `tpap` share them.
#pragma once

#include "core/models/objectives.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

using models::signs;

/// The mainstay code of each label vector before its sign: the mean of the training codes weighted by the
/// cosine of labels, minus the mean of the codes that share no label; a mean over nothing is 0. labels [B,
/// C], train_labels [N, C], both 0/1; codes [N, K], ±1 or relaxed → [B, K].
[[nodiscard]] torch::Tensor mainstay_before_sign(const torch::Tensor& labels,
                                                 const torch::Tensor& train_labels,
                                                 const torch::Tensor& codes);

/// Its sign: the code that stands for all training items in the way the labels relate to them; -1 where both
/// means are equal (to 1e-9, worked out in double, so that a code does not depend on its batch).
[[nodiscard]] torch::Tensor mainstay_code(const torch::Tensor& labels, const torch::Tensor& train_labels,
                                          const torch::Tensor& codes);

/// How far relaxed codes u agree with ±1 codes c; an untargeted attack minimises it.
enum class Agreement {
  kPlain,  ///< s = u∘c
  kSharp   ///< s (s + 2) of the bits with s > -0.5: bits that have turned already count no more
};

/// Per bit: u, c [B, K] → [B, K]; 0 where a bit does not count.
[[nodiscard]] torch::Tensor agreement_terms(const torch::Tensor& u, const torch::Tensor& c, Agreement form);
/// Mean over the bits of the batch that count, a scalar; 0 when none does.
[[nodiscard]] torch::Tensor mean_agreement(const torch::Tensor& u, const torch::Tensor& c, Agreement form);

}  // namespace gauntlet::attacks
