// Where an attack drives the codes of a batch: the objectives that its members share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/code_ranks.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// Relaxed codes [b, K] of the batch's items [b] int64 → what is maximised, [b].
using CodeObjective = std::function<torch::Tensor(const torch::Tensor& code, const torch::Tensor& items)>;

struct CodeGoal {
  CodeObjective objective;
  torch::Tensor floor;   ///< [B] double: average precision at which nothing is left to gain; may be undefined
  torch::Tensor anchor;  ///< [B, K] ±1: the code to reach; undefined where the goal is to leave one
  torch::Tensor skip;    ///< [B] bool: items without a goal, which stay clean; undefined: none
};

struct GoalSettings {
  std::string objective = "mainstay";
  std::string anchor = "far1";  ///< of objective "anchor": far<n> or near<n>, n from 1
  double tau = 0.05;            ///< of "ladv"
  std::int64_t voters = 9;      ///< of "vote"
  std::uint64_t seed = 0;       ///< of the vote
};

/// The objectives of untargeted attacks that look at the database: floor and anchor. Others do without.
[[nodiscard]] bool needs_ranks(const std::string& objective);

/// Untargeted: mainstay, floor, ladv, margin, anchor. `ranks` may be null for those that do without; with it
/// a goal has a floor.
[[nodiscard]] CodeGoal untargeted_goal(const AttackSurface& surface, const AttackBatch& batch,
                                       const GoalSettings& settings, CodeRanks* ranks);
/// Toward the batch's targets: class (their mainstay code), vote (DHTA's anchor), search (the best code a bit
/// search from the mainstay code finds), ladv (off the items that do not match).
[[nodiscard]] CodeGoal targeted_goal(const AttackSurface& surface, const AttackBatch& batch,
                                     const GoalSettings& settings, CodeRanks* ranks);

/// Codes [N, K] ±1 of the training items that queries of the surface's modality are compared with.
[[nodiscard]] const torch::Tensor& opposing_codes(const AttackSurface& surface);

}  // namespace gauntlet::attacks
