#include "core/attacks/detail/apgd_attack.hpp"

#include <memory>

#include "core/attacks/detail/apgd.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/evading.hpp"
#include "core/base/random.hpp"
#include "core/models/objectives.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kReached = 1e-9;  // of the floor of average precision

Tensor per_input(const Tensor& flags, const Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape.front() = flags.size(0);
  return flags.view(shape);
}

/// Codes of a pipeline without random draws; those of the inputs last given with a gradient are remembered,
/// since selection looks at the same inputs right after a step.
Encode remembering(Encode encode) {
  struct Last {
    Tensor inputs, codes;
  };
  return [encode = std::move(encode), last = std::make_shared<Last>()](const Tensor& inputs) {
    if (inputs.requires_grad()) {
      Tensor codes = encode(inputs);
      *last = {inputs.detach(), codes.detach()};
      return codes;
    }
    if (last->inputs.defined() && last->inputs.equal(inputs)) return last->codes;
    return encode(inputs);
  };
}

/// Keeps, per input, the candidate whose codes rank worst (targeted: best) over the draws of selection. One
/// that is refused is worth what the clean input is, and that nothing if it is refused too.
class Selection {
 public:
  Selection(const Tensor& clean, const CodeGoal& goal, Encode encode, Draws draws, CodeRanks* ranks,
            Tensor labels, bool highest, RefusalScore refusal)
      : kept(clean.clone()),
        cost(torch::full({clean.size(0)}, std::numeric_limits<double>::infinity(), torch::kFloat64)),
        goal_(goal),
        encode_(std::move(encode)),
        draws_(std::move(draws)),
        ranks_(ranks),
        labels_(std::move(labels)),
        sign_(highest ? -1 : 1),
        refusal_(std::move(refusal)) {
    if (!refusal_ || ranks_ == nullptr) return;
    const torch::NoGradGuard no_grad;
    const Tensor ap = ranks_->ap(encode_(clean), labels_);
    clean_ap_ = torch::where(refused_by(refusal_, clean), torch::zeros_like(ap), ap);
  }

  /// [b] bool: nothing is left to gain.
  Tensor look(const Tensor& inputs, const Tensor& items) {
    const torch::NoGradGuard no_grad;
    Tensor done = torch::ones({items.size(0)}, torch::kBool);
    latest = torch::zeros({items.size(0)}, torch::kFloat64);
    draws_.each(0, [&] {
      const Tensor code = encode_(inputs);
      Tensor refused;
      if (refusal_) refused = refused_by(refusal_, inputs);
      if (ranks_ != nullptr) {
        Tensor ap = ranks_->ap(code, labels_.index_select(0, items));
        if (refused.defined()) ap = torch::where(refused, clean_ap_.index_select(0, items), ap);
        latest += sign_ * ap / static_cast<double>(draws_.count());
        done = done.logical_and(reached(code, ap, items));
      } else {
        done = done.logical_and(reached(code, {}, items));
      }
      if (refused.defined()) done = done.logical_and(refused.logical_not());
    });
    if (ranks_ != nullptr) keep_better(inputs, items);
    return done;
  }

  /// Items `skip` [B] bool stay what they are now, clean.
  void settle(const Tensor& skip, const Tensor& all) {
    static_cast<void>(look(kept, all));
    settled_ = skip;
    cost = torch::where(skip, cost, torch::full_like(cost, std::numeric_limits<double>::infinity()));
  }

  Tensor kept;  ///< [B, …]
  /// [B] average precision of what is kept (targeted: negated); infinite where none is looked up.
  Tensor cost;
  Tensor latest;  ///< [b] that of the last look

 private:
  [[nodiscard]] Tensor reached(const Tensor& code, const Tensor& ap, const Tensor& items) const {
    Tensor done = torch::zeros({items.size(0)}, torch::kBool);
    if (goal_.anchor.defined()) {
      const Tensor anchor = goal_.anchor.index_select(0, items).to(code.scalar_type());
      done = models::signs(code).eq(anchor).all(1);
    }
    if (ap.defined() && goal_.floor.defined())
      done = done.logical_or(ap.le(goal_.floor.index_select(0, items) + kReached));
    return done;
  }

  void keep_better(const Tensor& inputs, const Tensor& items) {
    const Tensor before = cost.index_select(0, items);
    Tensor better = latest.lt(before);
    if (settled_.defined()) better = better.logical_and(settled_.index_select(0, items).logical_not());
    cost.index_copy_(0, items, torch::where(better, latest, before));
    kept.index_copy_(0, items, torch::where(per_input(better, inputs), inputs, kept.index_select(0, items)));
  }

  const CodeGoal& goal_;
  Encode encode_;
  Draws draws_;
  CodeRanks* ranks_;
  Tensor labels_;
  double sign_;
  RefusalScore refusal_;
  Tensor clean_ap_;  ///< [B], of defenses that refuse
  Tensor settled_;
};

class ApgdAttack final : public Attack, public Evading {
 public:
  ApgdAttack(const ApgdConfig& config, AttackSurface surface, std::uint64_t seed, bool targeted,
             std::shared_ptr<CodeRanks> ranks)
      : config_(config),
        surface_(std::move(surface)),
        seed_(seed),
        targeted_(targeted),
        ranks_(std::move(ranks)) {
    settings_.n_steps = config_.steps;
    settings_.ball = ball_of(surface_, config_.epsilon_image, config_.epsilon_text);
    settings_.on_grid = config_.rounding == "u8";
  }

  Tensor perturb(const AttackBatch& batch) override {
    Tensor start = apgd_start(batch.inputs.detach(), batch.rows, stream("start"), settings_.ball);
    if (config_.start == "warm") {
      AttackSurface undefended = surface_;
      undefended.encode = surface_.encode_undefended;
      undefended.use_draw = {};
      start = climbed(batch, undefended, start, {});
    }
    return climbed(batch, surface_, start, refusal_);
  }

  void evade(RefusalScore score) override {
    if (config_.refusal_weight > 0) refusal_ = std::move(score);
  }

  [[nodiscard]] std::map<std::string, Tensor> observed() const override { return observed_; }

 private:
  /// A seed of one purpose of this member and start.
  [[nodiscard]] std::uint64_t stream(std::string_view purpose) const {
    const std::string anchor = config_.objective == "anchor" ? config_.anchor : "";
    return purpose_seed(seed_, "",
                        fmt::format("{}/{}/{}/{}", config_.objective, anchor, config_.restart, purpose));
  }

  [[nodiscard]] CodeGoal goal_of(const AttackBatch& batch, const AttackSurface& surface) const {
    const GoalSettings goal{config_.objective, config_.anchor, config_.tau, config_.voters, stream("vote")};
    return targeted_ ? targeted_goal(surface, batch, goal, ranks_.get())
                     : untargeted_goal(surface, batch, goal, ranks_.get());
  }

  /// What the detector's score takes off an input's value.
  [[nodiscard]] Penalty penalty_of(const RefusalScore& refusal) const {
    if (!refusal) return {};
    return
        [refusal, weight = config_.refusal_weight](const Tensor& inputs) { return weight * refusal(inputs); };
  }

  Tensor climbed(const AttackBatch& batch, const AttackSurface& surface, const Tensor& start,
                 const RefusalScore& refusal) {
    const Tensor clean = batch.inputs.detach();
    const CodeGoal goal = goal_of(batch, surface);
    const Draws draws{surface.use_draw, stream("draws"), config_.samples, config_.randomness == "frozen"};
    const Draws choosing{surface.use_draw, stream("selection"), config_.samples, true};
    // Other recipes of gradients have values of their own in the last place.
    const bool remembers = !surface.use_draw && config_.gradient == "full";
    const Encode encode = remembers ? remembering(surface.encode) : surface.encode;
    Selection selection(clean, goal, encode, choosing, ranks_.get(),
                        targeted_ ? batch.target_labels : batch.labels, targeted_, refusal);
    const Tensor again = apgd_start(clean, batch.rows, stream("again"), settings_.ball);
    const Tensor all = torch::arange(clean.size(0), torch::kInt64);
    if (goal.skip.defined()) selection.settle(goal.skip, all);
    // What came from elsewhere may be the best there is, above all where the pipeline has no gradient.
    if (config_.start == "warm") static_cast<void>(selection.look(start, all));
    const ApgdHooks hooks{
        .restart = [&](const Tensor& items) { return again.index_select(0, items); },
        .watch = [&](const Tensor& inputs, const Tensor& items) { return selection.look(inputs, items); }};
    const ApgdOutcome outcome =
        apgd(clean, start, code_ascent(encode, goal.objective, draws, penalty_of(refusal)), settings_, hooks);
    static_cast<void>(selection.look(outcome.last, all));
    const Tensor last_cost = selection.latest;
    static_cast<void>(selection.look(outcome.best, all));
    note(outcome, selection.cost, last_cost, goal);
    const Tensor chosen = config_.select == "ap"     ? selection.kept
                          : config_.select == "loss" ? outcome.best
                                                     : outcome.last;
    return goal.skip.defined() ? torch::where(per_input(goal.skip, clean), clean, chosen) : chosen;
  }

  /// `cost` and `last_cost` [B]: average precision (targeted: negated) of what is kept and of the last step.
  void note(const ApgdOutcome& outcome, const Tensor& cost, const Tensor& last_cost, const CodeGoal& goal) {
    const Tensor attacked =
        goal.skip.defined() ? goal.skip.logical_not() : torch::ones_like(outcome.no_gradient);
    const auto share = [&](const Tensor& flags) { return flags.logical_and(attacked).to(torch::kFloat64); };
    observed_ = {{"no_gradient", share(outcome.no_gradient)}, {"still_rising", share(outcome.still_rising)}};
    if (ranks_ == nullptr) return;
    observed_["thrown_away_ap"] = last_cost - cost;
    if (config_.select == "ap") observed_["tracked_ap"] = targeted_ ? -cost : cost;
  }

  ApgdConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  bool targeted_;
  std::shared_ptr<CodeRanks> ranks_;
  RefusalScore refusal_;  ///< empty: every query is answered, or nobody looks whether it is
  ApgdSettings settings_;
  std::map<std::string, Tensor> observed_;
};

}  // namespace

Result<std::unique_ptr<Attack>> make_apgd(const ApgdConfig& config, AttackSurface surface, std::uint64_t seed,
                                          bool targeted) {
  if (config.start == "warm" && !surface.encode_undefended) {
    return fail(ErrorCode::kInvalid,
                "apgd: start is warm, and there is no defense between the undefended target and the attack; "
                "allowed: random, or protocol adaptive");
  }
  std::shared_ptr<CodeRanks> ranks;
  if (config.select == "ap" || needs_ranks(config.objective)) {
    GAUNTLET_TRY(ranks, CodeRanks::open(surface));
  }
  return std::make_unique<ApgdAttack>(config, std::move(surface), seed, targeted, std::move(ranks));
}

}  // namespace gauntlet::attacks
