#include "core/run/attack_surface.hpp"

#include "core/base/check.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBatch = 256;

torch::Tensor signs(const torch::Tensor& relaxed) {
  return torch::where(relaxed > 0, torch::ones_like(relaxed), -torch::ones_like(relaxed));
}

class CodeRanks final : public attacks::RankedLists {
 public:
  CodeRanks(Modality modality, std::function<torch::Tensor(Modality, const torch::Tensor&)> encode,
            const TrainingCodes& codes)
      : modality_(modality), encode_(std::move(encode)), codes_(codes) {}

  torch::Tensor rank(Modality modality, const torch::Tensor& inputs) override {
    const torch::NoGradGuard no_grad;
    const torch::Tensor& items = modality == Modality::kImage ? codes_.text : codes_.image;
    std::vector<torch::Tensor> lists;
    for (std::int64_t begin = 0; begin < inputs.size(0); begin += kBatch) {
      const torch::Tensor code = signs(encode_(modality, inputs.slice(0, begin, begin + kBatch)));
      const torch::Tensor distance = (items.size(1) - code.matmul(items.t())).round().to(torch::kInt32);
      lists.push_back(std::get<1>(distance.sort(/*stable=*/true, /*dim=*/1, /*descending=*/false)));
    }
    n_queries_ += inputs.size(0);
    return lists.empty() ? torch::empty({0, items.size(0)}, torch::kInt64) : torch::cat(lists);
  }
  [[nodiscard]] std::int64_t queries_used() const override { return n_queries_; }

 private:
  Modality modality_;
  std::function<torch::Tensor(Modality, const torch::Tensor&)> encode_;
  const TrainingCodes& codes_;
  std::int64_t n_queries_ = 0;
};

}  // namespace

Result<OpenSurface> open_surface(const JobRun& run, const data::PreparedSet& set,
                                 const attacks::AttackEntry& entry, Modality modality) {
  OpenSurface open;
  GAUNTLET_TRY(open.target, open_model(run));
  GAUNTLET_TRY(open.codes, open_training_codes(run, set));
  if (run.config().value("protocol", "static") == "static") {
    open.encode = [model = open.target.model, modality](const torch::Tensor& input) {
      return model->encode(modality, input);
    };
  } else {
    const Json defense = run.config().value("defense", Json::object());
    GAUNTLET_TRY(open.pipeline,
                 open_pipeline(run, defense.value("name", ""), defense.value("config", Json::object()),
                               open.target, modality));
    open.encode = [defended = open.pipeline.get(), modality](const torch::Tensor& input) {
      return defended->encode_query(modality, input);
    };
  }
  attacks::AttackSurface& surface = open.surface;
  surface.modality = modality;
  surface.shape = open.target.shape;
  surface.train_labels = open.codes.labels;
  surface.code_bits = open.target.shape.code_bits;
  surface.input_low = modality == Modality::kText && !set.text_is_binary() ? -1 : 0;
  if (!entry.about.capabilities.black_box) {
    surface.encode = open.encode;
    surface.train_codes_image = open.codes.image;
    surface.train_codes_text = open.codes.text;
  }
  return open;
}

std::unique_ptr<attacks::RankedLists> make_ranked_lists(const OpenSurface& open) {
  const auto encode = [&open](Modality modality, const torch::Tensor& input) {
    if (modality == open.surface.modality) return open.encode(input);
    return open.target.model->encode(modality, input);
  };
  return std::make_unique<CodeRanks>(open.surface.modality, encode, open.codes);
}

}  // namespace gauntlet::run
