#include "core/run/attack_surface.hpp"

#include "core/train/device_batches.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBatch = 256;

torch::Tensor signs(const torch::Tensor& relaxed) {
  return torch::where(relaxed > 0, torch::ones_like(relaxed), -torch::ones_like(relaxed));
}

/// Codes [N, K] ±1 of the training set as the database of a pipeline holds them.
torch::Tensor database_codes(const JobRun& run, defenses::Pipeline& pipeline, const data::PreparedSet& set,
                             Modality modality) {
  const torch::NoGradGuard no_grad;
  const std::span<const std::int64_t> rows = set.rows(data::Part::kTrain);
  std::vector<torch::Tensor> codes;
  for (std::size_t begin = 0; begin < rows.size(); begin += kBatch) {
    const auto some = rows.subspan(begin, std::min<std::size_t>(kBatch, rows.size() - begin));
    codes.push_back(
        signs(pipeline.encode_retrieval(modality, train::inputs_on(run.device, set, modality, some))));
  }
  return torch::cat(codes);
}

class CodeRanks final : public attacks::RankedLists {
 public:
  CodeRanks(QueryCodes encode, const TrainingCodes& codes) : encode_(std::move(encode)), codes_(codes) {}

  torch::Tensor rank(Modality modality, const torch::Tensor& inputs) override {
    const torch::NoGradGuard no_grad;
    const torch::Tensor& items = modality == Modality::kImage ? codes_.text : codes_.image;
    std::vector<torch::Tensor> lists;
    for (std::int64_t begin = 0; begin < inputs.size(0); begin += kBatch) {
      const torch::Tensor asked = inputs.slice(0, begin, begin + kBatch).to(items.device());
      const torch::Tensor code = signs(encode_(modality, asked));
      const torch::Tensor distance = (items.size(1) - code.matmul(items.t())).round().to(torch::kInt32);
      lists.push_back(
          std::get<1>(distance.sort(/*stable=*/true, /*dim=*/1, /*descending=*/false)).to(inputs.device()));
    }
    n_queries_ += inputs.size(0);
    return lists.empty() ? torch::empty({0, items.size(0)}, torch::kInt64) : torch::cat(lists);
  }
  [[nodiscard]] std::int64_t queries_used() const override { return n_queries_; }

 private:
  QueryCodes encode_;
  const TrainingCodes& codes_;
  std::int64_t n_queries_ = 0;
};

/// Puts the job's defense in front of the model, or in its place: a database that the robust model encodes is
/// what queries are compared with.
Status defend(const JobRun& run, const data::PreparedSet& set, Modality modality, OpenSurface& open) {
  const Json defense = run.config().value("defense", Json::object());
  const std::string name = defense.value("name", "");
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find(name));
  GAUNTLET_TRY(open.pipeline,
               open_pipeline(run, name, defense.value("config", Json::object()), open.target, modality));
  open.encode = [defended = open.pipeline.get()](Modality side, const torch::Tensor& input) {
    return defended->encode_query(side, input);
  };
  if (entry->about.capabilities.replaces_model) {
    open.codes.image = database_codes(run, *open.pipeline, set, Modality::kImage);
    open.codes.text = database_codes(run, *open.pipeline, set, Modality::kText);
  }
  return {};
}

}  // namespace

Result<OpenSurface> open_surface(const JobRun& run, const data::PreparedSet& set,
                                 const attacks::AttackEntry& entry, Modality modality) {
  OpenSurface open;
  GAUNTLET_TRY(open.target, open_model(run));
  GAUNTLET_TRY(open.codes, open_training_codes(run, set));
  if (run.config().value("protocol", "static") == "static") {
    open.encode = [model = open.target.model](Modality side, const torch::Tensor& input) {
      return model->encode(side, input);
    };
  } else {
    GAUNTLET_CHECK_OK(defend(run, set, modality, open));
  }
  attacks::AttackSurface& surface = open.surface;
  surface.modality = modality;
  surface.shape = open.target.shape;
  surface.train_labels = open.codes.labels;
  surface.code_bits = open.target.shape.code_bits;
  surface.input_low = modality == Modality::kText && !set.text_is_binary() ? -1 : 0;
  if (!entry.about.capabilities.black_box) {
    surface.encode = [encode = open.encode, modality](const torch::Tensor& input) {
      return encode(modality, input);
    };
    surface.train_codes_image = open.codes.image;
    surface.train_codes_text = open.codes.text;
  }
  return open;
}

std::unique_ptr<attacks::RankedLists> make_ranked_lists(const OpenSurface& open) {
  return std::make_unique<CodeRanks>(open.encode, open.codes);
}

}  // namespace gauntlet::run
