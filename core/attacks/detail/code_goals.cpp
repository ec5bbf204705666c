#include "core/attacks/detail/code_goals.hpp"

#include <algorithm>
#include <numeric>

#include "core/attacks/detail/bit_loss.hpp"
#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/item_draw.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/base/check.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::attacks {
namespace {

using metrics::Sense;
using torch::Tensor;

constexpr std::uint64_t kVoteTag = 0x564f5445;  // "VOTE"
constexpr std::size_t kMostCandidates = 1000;

Tensor rows_of(const Tensor& all, const Tensor& items, const Tensor& like) {
  return all.index_select(0, items).to(like.scalar_type());
}

CodeObjective leaving(Tensor anchors) {
  return [anchors = std::move(anchors)](const Tensor& code, const Tensor& items) {
    return away_from(code, rows_of(anchors, items, code));
  };
}

CodeObjective reaching(Tensor anchors, Tensor weights = {}) {
  return
      [anchors = std::move(anchors), weights = std::move(weights)](const Tensor& code, const Tensor& items) {
        const Tensor c = rows_of(anchors, items, code);
        return toward(code, c, weights.defined() ? rows_of(weights, items, code) : Tensor());
      };
}

Tensor mainstay_of(const AttackSurface& surface, const Tensor& labels) {
  return mainstay_code(labels, surface.train_labels, opposing_codes(surface));
}

/// The least (greatest) average precision the bit search finds for each input, from the given codes on.
struct Found {
  Tensor codes, weights;  ///< [B, K]
  Tensor ap;              ///< [B] double
};

Found searched(CodeRanks& ranks, const Tensor& starts, const Tensor& labels, Sense sense) {
  std::vector<Tensor> codes, weights;
  std::vector<double> ap;
  for (std::int64_t item = 0; item < starts.size(0); ++item) {
    const CodeSearch& found = ranks.search(starts[item], labels[item], sense);
    codes.push_back(found.code);
    weights.push_back(found.weights);
    ap.push_back(found.ap);
  }
  return {torch::stack(codes), torch::stack(weights), torch::tensor(ap, torch::kFloat64)};
}

CodeGoal off_nearest_goal(const AttackSurface& surface, const Tensor& repel, double tau) {
  CodeGoal goal;
  goal.objective = [&surface, repel, tau](const Tensor& code, const Tensor& items) {
    return off_the_nearest(code, opposing_codes(surface).to(code.scalar_type()), repel.index_select(0, items),
                           tau);
  };
  goal.skip = repel.any(1).logical_and(repel.all(1).logical_not()).logical_not();
  return goal;
}

CodeGoal margin_goal(const AttackSurface& surface, const AttackBatch& batch) {
  const torch::NoGradGuard no_grad;
  const Tensor clean = before_tanh(surface.encode(batch.inputs));
  CodeGoal goal;
  goal.objective = [clean](const Tensor& code, const Tensor& items) {
    return margin(before_tanh(code), clean.index_select(0, items));
  };
  return goal;
}

/// Mainstay codes of the most frequent label vectors of the training set, most frequent first, the first seen
/// of equals.
struct Candidates {
  Tensor labels, codes;  ///< [n, C], [n, K]
};

Candidates frequent_candidates(const AttackSurface& surface) {
  const auto [vectors, inverse, counts] = at::unique_dim(surface.train_labels, 0, /*sorted=*/true,
                                                         /*return_inverse=*/true, /*return_counts=*/true);
  const Tensor order = std::get<1>(counts.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  const Tensor labels =
      vectors.index_select(0, order.slice(0, 0, static_cast<std::int64_t>(kMostCandidates)));
  return {labels, mainstay_of(surface, labels)};
}

/// The order in which candidates are tried as near anchors: within chance by distance to the clean code, then
/// the rest by average precision.
std::vector<std::int64_t> nearest_first(const Tensor& ap, const Tensor& distance, double chance) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(ap.numel()));
  std::iota(order.begin(), order.end(), 0);
  const double* value = ap.const_data_ptr<double>();
  const double* away = distance.const_data_ptr<double>();
  std::ranges::stable_sort(order, {}, [&](std::int64_t at) {
    const bool lures = value[at] <= chance;
    return std::pair(lures ? 0 : 1, lures ? away[at] : value[at]);
  });
  return order;
}

/// [K] of the anchor number `number` (from 0); undefined when there are not so many.
Tensor chosen_anchor(const Candidates& candidates, const Tensor& own_labels, const Tensor& clean_code,
                     bool far, std::size_t number, CodeRanks& ranks) {
  const Tensor others = candidates.labels.matmul(own_labels).eq(0).nonzero().view(-1);
  if (others.numel() <= static_cast<std::int64_t>(number)) return {};
  const Tensor codes = candidates.codes.index_select(0, others);
  const Tensor labels = own_labels.view({1, -1}).expand({codes.size(0), own_labels.size(0)});
  const Tensor ap = ranks.ap(codes, labels);
  if (far) {
    const Tensor order = std::get<1>(ap.sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
    return codes[order[static_cast<std::int64_t>(number)].item<std::int64_t>()];
  }
  const Tensor distance = -codes.to(torch::kFloat64).mv(clean_code);
  const double chance = ranks.chance(own_labels.view({1, -1})).item<double>();
  return codes[nearest_first(ap, distance.contiguous(), chance)[number]];
}

CodeGoal anchor_goal(const AttackSurface& surface, const AttackBatch& batch, const std::string& anchor,
                     CodeRanks& ranks) {
  const bool far = anchor.starts_with("far");
  const auto number = static_cast<std::size_t>(std::stoll(anchor.substr(far ? 3 : 4)) - 1);
  const Candidates candidates = frequent_candidates(surface);
  Tensor clean;
  {
    const torch::NoGradGuard no_grad;
    clean = signs(surface.encode(batch.inputs)).to(torch::kFloat64);
  }
  CodeGoal goal;
  goal.anchor = torch::zeros({batch.inputs.size(0), clean.size(1)}, torch::kFloat64);
  goal.skip = torch::zeros({batch.inputs.size(0)}, torch::kBool);
  for (std::int64_t item = 0; item < batch.inputs.size(0); ++item) {
    const Tensor code = chosen_anchor(candidates, batch.labels[item].to(candidates.labels.scalar_type()),
                                      clean[item], far, number, ranks);
    if (code.defined()) {
      goal.anchor[item] = code;
    } else {
      goal.skip[item] = true;
    }
  }
  goal.objective = reaching(goal.anchor);
  return goal;
}

Tensor vote_of(const AttackSurface& surface, const AttackBatch& batch, const GoalSettings& settings) {
  const Tensor& codes = opposing_codes(surface);
  Tensor anchors = torch::zeros({batch.inputs.size(0), codes.size(1)}, codes.options());
  for (std::int64_t item = 0; item < anchors.size(0); ++item) {
    const Tensor same =
        surface.train_labels.eq(batch.target_labels[item].to(surface.train_labels.scalar_type())).all(1);
    const Tensor items = same.nonzero().view(-1);
    if (items.numel() == 0) continue;
    const auto row = static_cast<std::uint64_t>(batch.rows[static_cast<std::size_t>(item)]);
    anchors[item] = majority_code(codes.index_select(
        0, drawn_items(items, settings.voters, RandomStream::of(settings.seed, kVoteTag, row))));
  }
  return anchors;
}

}  // namespace

const Tensor& opposing_codes(const AttackSurface& surface) {
  return surface.modality == Modality::kImage ? surface.train_codes_text : surface.train_codes_image;
}

bool needs_ranks(const std::string& objective) {
  return objective == "floor" || objective == "anchor" || objective == "search";
}

CodeGoal untargeted_goal(const AttackSurface& surface, const AttackBatch& batch, const GoalSettings& settings,
                         CodeRanks* ranks) {
  CodeGoal goal;
  Found worst;
  if (ranks != nullptr) {
    worst = searched(*ranks, -mainstay_of(surface, batch.labels), batch.labels, Sense::kLower);
  }
  if (settings.objective == "mainstay") {
    goal.objective = leaving(mainstay_of(surface, batch.labels));
  } else if (settings.objective == "ladv") {
    const Tensor relevant = models::relevance_mask(batch.labels, surface.train_labels);
    goal = off_nearest_goal(surface, relevant, settings.tau);
  } else if (settings.objective == "margin") {
    goal = margin_goal(surface, batch);
  } else {
    GAUNTLET_CHECK(ranks != nullptr);
    if (settings.objective == "floor") {
      goal.anchor = worst.codes;
      goal.objective = reaching(worst.codes, worst.weights);
    } else {
      goal = anchor_goal(surface, batch, settings.anchor, *ranks);
    }
  }
  goal.floor = worst.ap;
  return goal;
}

CodeGoal targeted_goal(const AttackSurface& surface, const AttackBatch& batch, const GoalSettings& settings,
                       CodeRanks* ranks) {
  const Tensor mainstay = mainstay_of(surface, batch.target_labels);
  if (settings.objective == "ladv") {
    const Tensor matching = models::relevance_mask(batch.target_labels, surface.train_labels);
    return off_nearest_goal(surface, matching.logical_not(), settings.tau);
  }
  CodeGoal goal;
  if (settings.objective == "class") {
    goal.anchor = mainstay;
  } else if (settings.objective == "vote") {
    goal.anchor = vote_of(surface, batch, settings);
    goal.skip = goal.anchor.eq(0).all(1);
  } else {
    GAUNTLET_CHECK(settings.objective == "search" && ranks != nullptr);
    goal.anchor = searched(*ranks, mainstay, batch.target_labels, Sense::kHigher).codes;
  }
  goal.objective = reaching(goal.anchor);
  return goal;
}

}  // namespace gauntlet::attacks
