// Words added and taken away: what a budget means for binary texts.
#include "core/attacks/attack.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "core/attacks/detail/word_flips.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "flip";

struct FlipConfig {
  std::int64_t words = 4;
  std::int64_t candidates = 8;
  std::int64_t samples = 1;
  std::string gradient = "full";

  static void fields(auto& self, auto& visit) {
    visit("words", self.words, {.doc = "Words changed at most.", .min = 0, .max = 100000});
    visit("candidates", self.candidates,
          {.doc = "Words tried per change: those the gradient promises most of.", .min = 1, .max = 100000});
    visit("samples", self.samples,
          {.doc = "Draws of a random defense that values and gradients are averaged over.",
           .min = 1,
           .max = 1000});
    visit("gradient", self.gradient,
          {.doc = "What gradients go through under protocol adaptive; see apgd.",
           .choices = {"full", "identity", "unrolled", "smooth"}});
  }
};

class Flip final : public Attack {
 public:
  Flip(FlipConfig config, AttackSurface surface, std::uint64_t seed)
      : config_(std::move(config)), surface_(std::move(surface)), seed_(seed) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const CodeGoal goal = untargeted_goal(surface_, batch, {}, /*ranks=*/nullptr);
    const Draws draws{surface_.use_draw, purpose_seed(seed_, "", "draws"), config_.samples, /*frozen=*/true};
    const Ascent ascent = code_ascent(surface_.encode, goal.objective, draws);
    const torch::Tensor texts = flipped_words(clean, ascent, {config_.words, config_.candidates});
    observed_ = {{"words_changed", texts.ne(clean).sum(1).to(torch::kFloat64)}};
    return texts;
  }

  [[nodiscard]] std::map<std::string, torch::Tensor> observed() const override { return observed_; }

 private:
  FlipConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  std::map<std::string, torch::Tensor> observed_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(FlipConfig read, read_config<FlipConfig>(config, kName));
  if (surface.modality != Modality::kText || surface.input_low < 0) {
    return fail(ErrorCode::kInvalid, "flip changes words and was given {}; allowed: text queries of 0 and 1",
                surface.modality == Modality::kText ? "texts of features" : "pictures");
  }
  return std::make_unique<Flip>(std::move(read), std::move(surface), seed);
}

}  // namespace

extern const AttackEntry flip_entry;
constinit const AttackEntry flip_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "Changes a few words of a binary text, the most useful first",
              .reference = "",
              .capabilities = {.image = false, .adaptive = true},
              .fields = &describe_fields<FlipConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
