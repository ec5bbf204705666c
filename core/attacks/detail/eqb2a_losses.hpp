// Terms of EQB2A's objectives on relaxed codes in (-1,1). K bits, B rows.
#pragma once

#include <map>
#include <string>

#include "core/torch.hpp"

namespace gauntlet::attacks::eqb2a {

/// Losses of one step by name, without gradient.
using StepLosses = std::map<std::string, torch::Tensor>;

/// (K - a·b) / (2K) in [0,1] over the last dimension; the others broadcast.
[[nodiscard]] torch::Tensor code_distance(const torch::Tensor& a, const torch::Tensor& b);

/// mean max(0, margin + (nearer - farther) / gap): `nearer` shall be smaller than `farther` by margin * gap.
/// Distances [B]; gap a number or [B].
[[nodiscard]] torch::Tensor ranking(const torch::Tensor& nearer, const torch::Tensor& farther, double margin,
                                    const torch::Tensor& gap = {});

/// sum over the near items of mean over rows of max(0, margin - distance): codes [B, K], near_codes [B, n,
/// K].
[[nodiscard]] torch::Tensor alienation(const torch::Tensor& codes, const torch::Tensor& near_codes,
                                       double margin);

/// 1/(K B) sum over bits of (sum over rows)^2: small when a bit is +1 as often as -1. codes [B, K].
[[nodiscard]] torch::Tensor balance(const torch::Tensor& codes);

/// 1/(K B) ||sign(codes) - codes||^2.
[[nodiscard]] torch::Tensor quantisation(const torch::Tensor& codes);

/// mean (logits - fakeness)^2, the least-squares game: 0 = real, 1 = fake.
[[nodiscard]] torch::Tensor least_squares(const torch::Tensor& logits, double fakeness);

}  // namespace gauntlet::attacks::eqb2a
