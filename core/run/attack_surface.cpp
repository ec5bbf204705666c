#include "core/run/attack_surface.hpp"

#include <algorithm>

#include "core/defenses/refusing.hpp"
#include "core/train/device_batches.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBatch = 256;

torch::Tensor signs(const torch::Tensor& relaxed) {
  return torch::where(relaxed > 0, torch::ones_like(relaxed), -torch::ones_like(relaxed));
}

/// Codes [N, K] ±1 of a part of the database as a pipeline holds it.
torch::Tensor database_codes(const JobRun& run, defenses::Pipeline& pipeline, const data::PreparedSet& set,
                             Modality modality, data::Part part) {
  const torch::NoGradGuard no_grad;
  const std::span<const std::int64_t> rows = set.rows(part);
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

/// Codes [M, K] ±1 of the whole retrieval set by the undefended target, as an encode job left them, in the
/// order of its rows.
struct StoredCodes {
  torch::Tensor codes;
  std::vector<std::int64_t> rows;
};

Result<StoredCodes> stored_codes(const JobRun& run, Modality modality) {
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               open_input(run, fmt::format("codes_{}", name_of(modality)), spec::JobKind::kEncode));
  GAUNTLET_TRY(const torch::Tensor packed, read_tensor(artifact.file("codes.npy")));
  GAUNTLET_TRY(const torch::Tensor rows, read_tensor(artifact.file("rows.npy")));
  const auto bits = artifact.about.value("bits", std::int64_t{0});
  if (packed.dim() != 2 || bits < 1 || packed.size(1) != (bits + 7) / 8 || rows.numel() != packed.size(0)) {
    return fail(ErrorCode::kCorrupt, "{} does not hold codes of {} bits", artifact.folder.string(), bits);
  }
  const torch::Tensor unpacked =
      packed.unsqueeze(2).bitwise_right_shift(torch::arange(8, torch::kUInt8)).bitwise_and(1).flatten(1);
  const auto* row = rows.const_data_ptr<std::int64_t>();
  return StoredCodes{unpacked.slice(1, 0, bits).to(torch::kFloat32) * 2 - 1, {row, row + rows.numel()}};
}

/// `replaced` encodes the database where it is not null.
Result<attacks::Database> read_database(const JobRun& run, const data::PreparedSet& set, Modality modality,
                                        defenses::Pipeline* replaced) {
  if (replaced != nullptr) {
    return attacks::Database{database_codes(run, *replaced, set, modality, data::Part::kRetrieval),
                             train::labels_of(set, set.rows(data::Part::kRetrieval))};
  }
  GAUNTLET_TRY(const StoredCodes stored, stored_codes(run, modality));
  return attacks::Database{stored.codes, train::labels_of(set, stored.rows)};
}

/// The attack's option `gradient`, if it has one.
Result<defenses::Backward> backward_of(const JobRun& run) {
  using defenses::Backward;
  const std::string name = run.config().value("attack", Json::object()).value("gradient", "full");
  if (name == "full") return Backward::kDeclared;
  if (name == "identity") return Backward::kIdentity;
  if (name == "unrolled") return Backward::kUnrolled;
  if (name == "smooth") return Backward::kSmooth;
  return fail(ErrorCode::kInvalid, "gradient is '{}'; allowed: full, identity, unrolled, smooth", name);
}

bool is_random(const defenses::Declaration& declaration) {
  return std::ranges::any_of(declaration.stages, [](const defenses::Stage& stage) {
    return stage.random != defenses::StageRandomness::kNo;
  });
}

/// Puts the job's defense in front of the model, or in its place: a database that the robust model encodes is
/// what queries are compared with.
Status defend(const JobRun& run, const data::PreparedSet& set, Modality modality, OpenSurface& open) {
  const Json defense = run.config().value("defense", Json::object());
  const std::string name = defense.value("name", "");
  GAUNTLET_TRY(const defenses::DefenseEntry* entry, defenses::defense_registry().find(name));
  GAUNTLET_TRY(open.pipeline,
               open_pipeline(run, name, defense.value("config", Json::object()), open.target, modality));
  GAUNTLET_TRY(const defenses::Backward backward, backward_of(run));
  defenses::Pipeline* const defended = open.pipeline.get();
  const bool is_database = run.config().value("part", "query") == "retrieval";
  open.encode = [defended, backward, is_database](Modality side, const torch::Tensor& input) {
    if (is_database) return defended->encode_retrieval(side, input);
    if (backward == defenses::Backward::kDeclared || !input.requires_grad())
      return defended->encode_query(side, input);
    return defended->encode_purified(side, defended->purified_through(side, input, backward));
  };
  if (auto* const refusing = dynamic_cast<defenses::Refusing*>(defended);
      refusing != nullptr && !is_database) {
    open.refusal = [refusing, modality](const torch::Tensor& input) {
      return refusing->refusal_score(modality, input);
    };
  }
  open.surface.encode_undefended = [model = open.target.model, modality](const torch::Tensor& input) {
    return model->encode(modality, input);
  };
  if (is_random(entry->declaration))
    open.surface.use_draw = [defended](std::uint64_t draw) { defended->use_draw(draw); };
  open.encodes_database = entry->about.capabilities.replaces_model;
  if (open.encodes_database) {
    open.codes.image = database_codes(run, *defended, set, Modality::kImage, data::Part::kTrain);
    open.codes.text = database_codes(run, *defended, set, Modality::kText, data::Part::kTrain);
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
    if (run.attempt.job.kind == spec::JobKind::kCraft) {
      surface.database = [&run, &set, side = other(modality),
                          replaced = open.encodes_database ? open.pipeline.get() : nullptr] {
        return read_database(run, set, side, replaced);
      };
    }
  } else {
    surface.encode_undefended = {};
    surface.use_draw = {};
  }
  return open;
}

std::unique_ptr<attacks::RankedLists> make_ranked_lists(const OpenSurface& open) {
  return std::make_unique<CodeRanks>(open.encode, open.codes);
}

}  // namespace gauntlet::run
