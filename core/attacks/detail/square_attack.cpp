#include "core/attacks/detail/square_attack.hpp"

#include "core/attacks/detail/code_ascent.hpp"
#include "core/attacks/detail/list_overlap.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/detail/square_search.hpp"
#include "core/attacks/evading.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kReached = 1e-9;

/// Codes [B, K] ±1, of the attacked modality, of one training item for each target label vector [B, C]: the
/// first of those whose labels are nearest to it by cosine. The lists they have are what a targeted search by
/// ranks is after.
Tensor example_codes(const AttackSurface& surface, const Tensor& target_labels) {
  const auto unit = [](const Tensor& labels) {
    const Tensor values = labels.to(torch::kFloat64);
    return values / values.norm(2, 1, /*keepdim=*/true).clamp_min(1);
  };
  const Tensor similarity = unit(target_labels).matmul(unit(surface.train_labels).t());
  const Tensor greatest = std::get<0>(similarity.max(1, /*keepdim=*/true));
  // The first among equals; which one max() itself names is not laid down.
  const Tensor first = std::get<1>(similarity.ge(greatest - 1e-9)
                                       .to(torch::kInt8)
                                       .sort(
                                           /*stable=*/true, /*dim=*/1, /*descending=*/true))
                           .select(1, 0);
  const Tensor& codes =
      surface.modality == Modality::kImage ? surface.train_codes_image : surface.train_codes_text;
  return codes.index_select(0, first);
}

/// Judges the inputs of one batch, and keeps of each the best by score, then by average precision.
class CodeJudge {
 public:
  CodeJudge(const SquareConfig& config, const AttackSurface& surface, const AttackBatch& batch, Draws draws,
            CodeRanks* ranks, bool targeted, const RefusalScore& refusal)
      : kept(batch.inputs.detach().clone()),
        config_(config),
        surface_(surface),
        draws_(std::move(draws)),
        ranks_(ranks),
        labels_(targeted ? batch.target_labels : batch.labels),
        sign_(targeted ? -1 : 1),
        refusal_(refusal) {
    const torch::NoGradGuard no_grad;
    anchors_ = mainstay_code(labels_, surface.train_labels, opposing_codes(surface));
    const Tensor clean = signs(surface.encode(batch.inputs));
    if (config.feedback == "rank")
      known_list_ =
          first_items(targeted ? example_codes(surface, labels_) : clean, ranks->codes(), config.list);
    const Tensor infinite =
        torch::full({batch.inputs.size(0)}, std::numeric_limits<double>::infinity(), torch::kFloat64);
    best_score_ = infinite.clone();
    best_ap_ = infinite.clone();
    last_code_ = torch::zeros_like(clean);
    if (ranks_ == nullptr || targeted) return;
    const CodeGoal worst =
        untargeted_goal(surface, batch, {.objective = "floor"}, ranks_);  // for its floor only
    floor_ = worst.floor;
  }

  Judged operator()(const Tensor& inputs, const Tensor& items) {
    const torch::NoGradGuard no_grad;
    Judged judged{torch::zeros({items.numel()}, torch::kFloat64), {}};
    Tensor code;
    draws_.each(step_++, [&] {
      const Tensor relaxed = surface_.encode(inputs);
      code = signs(relaxed);
      judged.score += score_of(relaxed, code, items) / static_cast<double>(draws_.count());
    });
    if (refusal_) {  // no code comes back: worse than any
      judged.score.masked_fill_(refused_by(refusal_, inputs), std::numeric_limits<double>::infinity());
    }
    judged.done = judged.score.le(least_score() + kReached);
    keep(inputs, items, code, judged);
    last_code_.index_copy_(0, items, code);
    return judged;
  }

  Tensor kept;  ///< [B, …]

 private:
  [[nodiscard]] Tensor score_of(const Tensor& relaxed, const Tensor& code, const Tensor& items) const {
    if (config_.feedback == "rank")
      return sign_ * list_overlap(known_list_.index_select(0, items),
                                  first_items(code, ranks_->codes(), config_.list));
    const Tensor& output = config_.feedback == "soft" ? relaxed : code;
    return sign_ *
           (output * anchors_.index_select(0, items).to(output.scalar_type())).mean(1).to(torch::kFloat64);
  }

  /// The code opposite to the anchor (targeted: the anchor), or no item in common (targeted: the whole list).
  [[nodiscard]] double least_score() const { return config_.feedback == "rank" && sign_ > 0 ? 0 : -1; }

  void keep(const Tensor& inputs, const Tensor& items, const Tensor& code, Judged& judged) {
    const Tensor score_before = best_score_.index_select(0, items);
    const Tensor answered = judged.score.isfinite();
    Tensor better = judged.score.lt(score_before);
    if (ranks_ == nullptr || config_.select != "ap") {
      better = judged.score.le(score_before).logical_and(answered);
    } else {
      // A code that has not changed ranks as it did.
      const Tensor moved = code.ne(last_code_.index_select(0, items)).any(1);
      const Tensor asks =
          better.logical_or(judged.score.eq(score_before).logical_and(moved).logical_and(answered))
              .nonzero()
              .view(-1);
      Tensor ap = best_ap_.index_select(0, items).clone();
      const Tensor known = ap.clone();
      if (asks.numel() > 0) {
        const Tensor of = items.index_select(0, asks);
        ap.index_copy_(0, asks, sign_ * ranks_->ap(code.index_select(0, asks), labels_.index_select(0, of)));
      }
      better = better.logical_or(judged.score.eq(score_before).logical_and(ap.lt(known)));
      best_ap_.index_copy_(0, items, torch::where(better, ap, known));
      if (floor_.defined() && draws_.count() == 1)
        judged.done =
            judged.done.logical_or(ap.le(floor_.index_select(0, items) + kReached).logical_and(better));
    }
    best_score_.index_copy_(0, items, torch::minimum(judged.score, score_before));
    const Tensor found = better.nonzero().view(-1);  // few, of many inputs
    kept.index_copy_(0, items.index_select(0, found), inputs.index_select(0, found));
  }

  const SquareConfig& config_;
  const AttackSurface& surface_;
  Draws draws_;
  CodeRanks* ranks_;
  Tensor labels_;
  double sign_;
  const RefusalScore& refusal_;  ///< empty: every query is answered
  Tensor anchors_, known_list_, best_score_, best_ap_, last_code_, floor_;
  std::uint64_t step_ = 0;
};

class SquareAttack final : public Attack, public Evading {
 public:
  SquareAttack(SquareConfig config, AttackSurface surface, std::uint64_t seed, bool targeted,
               std::shared_ptr<CodeRanks> ranks)
      : config_(std::move(config)),
        surface_(std::move(surface)),
        seed_(purpose_seed(seed, "", fmt::format("{}/{}", config_.feedback, config_.restart))),
        targeted_(targeted),
        ranks_(std::move(ranks)) {}

  Tensor perturb(const AttackBatch& batch) override {
    const Tensor clean = batch.inputs.detach();
    const Draws draws{surface_.use_draw, purpose_seed(seed_, "", "draws"), config_.samples, false};
    CodeJudge judge(config_, surface_, batch, draws, ranks_.get(), targeted_, refusal_);
    const SquareSettings settings{config_.iterations,
                                  ball_of(surface_, config_.epsilon_image, config_.epsilon_text),
                                  config_.rounding == "u8", seed_};
    const SquareOutcome outcome = square_search(
        clean, batch.rows, [&](const Tensor& inputs, const Tensor& items) { return judge(inputs, items); },
        settings);
    observed_ = {{"queries_per_input", outcome.n_queries}};
    return judge.kept;
  }

  void evade(RefusalScore score) override { refusal_ = std::move(score); }

  [[nodiscard]] std::map<std::string, Tensor> observed() const override { return observed_; }

 private:
  SquareConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  bool targeted_;
  std::shared_ptr<CodeRanks> ranks_;
  RefusalScore refusal_;
  std::map<std::string, Tensor> observed_;
};

}  // namespace

Result<std::unique_ptr<Attack>> make_square(const SquareConfig& config, AttackSurface surface,
                                            std::uint64_t seed, bool targeted) {
  std::shared_ptr<CodeRanks> ranks;
  if (config.select == "ap" || config.feedback == "rank") {
    GAUNTLET_TRY(ranks, CodeRanks::open(surface));
  }
  return std::make_unique<SquareAttack>(config, std::move(surface), seed, targeted, std::move(ranks));
}

}  // namespace gauntlet::attacks
