// What an attack sees of its target under each protocol, with the jobs that lead there run one by one in a
// small work folder.
#include "core/run/attack_surface.hpp"

#include <gmock/gmock.h>

#include "core/run/torch_runner.hpp"
#include "core/train/batches.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::run {
namespace {

namespace fs = std::filesystem;
using torch::Tensor;

constexpr std::size_t kItems = 48, kPx = 16, kWords = 6, kLabels = 3;

class Silent final : public worker::ProgressSink {
 public:
  void update(const worker::Progress& /*progress*/) override {}
};

/// 8 queries, 32 training items, 8 for retrieval only; pictures, words and labels of noise.
fs::path write_set(const testing_support::TempFolder& folder) {
  const fs::path path = folder / "set";
  fs::create_directories(path);
  std::vector<std::uint8_t> images(kItems * kPx * kPx * 3), text(kItems * kWords), labels(kItems * kLabels),
      split(kItems);
  for (std::size_t at = 0; at < images.size(); ++at) images[at] = static_cast<std::uint8_t>(at * at % 253);
  for (std::size_t at = 0; at < text.size(); ++at) text[at] = at * at % 7 < 3 ? 1 : 0;
  for (std::size_t item = 0; item < kItems; ++item) {
    labels[item * kLabels + item % kLabels] = 1;
    split[item] = item < 8 ? 0 : item < 40 ? 1 : 2;
  }
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "images.npy", {kItems, kPx, kPx, 3}, images));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "text.npy", {kItems, kWords}, text));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "labels.npy", {kItems, kLabels}, labels));
  EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "split.npy", {kItems}, split));
  folder.write("set/dataset.json", R"({"format": 1, "name": "noise", "label_names": ["a", "b", "c"]})");
  return path;
}

class Surfaces : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path set = write_set(work_);
    spec::JobSpec prepare;
    prepare.kind = spec::JobKind::kPrepare;
    prepare.entry = "noise";
    data_ = spec::key_of(prepare).value();
    auto draft = store_.begin(data_);
    ASSERT_TRUE(draft) << draft.error().message;
    fs::copy(set, draft->folder(), fs::copy_options::recursive);
    ASSERT_TRUE(store_.publish(std::move(*draft), prepare, data_, Json::object()));

    model_ = done(job(spec::JobKind::kTrainModel, "cpah",
                      models::model_registry().find("cpah").value()->about.version,
                      {{"model",
                        {{"backbone", "picto_cnn"},
                         {"backbone_width", 4},
                         {"hidden", 16},
                         {"epochs", 1},
                         {"batch_size", 8}}},
                       {"bits", 16}},
                      {{"data", data_}}));
    for (const std::string side : {"image", "text"}) {
      codes_[side] = done(
          job(spec::JobKind::kEncode, "none", 1,
              {{"defense", Json::object()}, {"modality", side}, {"part", "retrieval"}, {"source", "clean"}},
              {{"data", data_}, {"model", model_}}));
    }
  }

  static spec::JobSpec job(spec::JobKind kind, std::string entry, std::int64_t version, Json config,
                           std::vector<spec::JobInput> inputs) {
    spec::JobSpec made;
    made.kind = kind;
    made.entry = std::move(entry);
    made.version = version;
    made.config = std::move(config);
    made.inputs = std::move(inputs);
    made.seed = 1;
    return made;
  }

  [[nodiscard]] worker::AttemptContext attempt_of(spec::JobSpec job) const {
    const JobKey key = spec::key_of(job).value();
    return {.job = std::move(job),
            .key = key,
            .lease = {},
            .attempt = {},
            .workdir = work_.path(),
            .log = {},
            .rendezvous = {}};
  }

  /// Runs a job that must succeed.
  JobKey done(spec::JobSpec job) {
    const worker::AttemptContext attempt = attempt_of(std::move(job));
    Silent progress;
    const auto result = TorchRunner().run(attempt, progress);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return attempt.key;
  }

  [[nodiscard]] std::vector<spec::JobInput> target_inputs() const {
    return {{"codes_image", codes_.at("image")},
            {"codes_text", codes_.at("text")},
            {"data", data_},
            {"model", model_}};
  }

  /// A robust model of its own, far enough from the target to have other codes.
  JobKey robust() {
    return done(job(spec::JobKind::kTrainDefense, "saat",
                    defenses::defense_registry().find("saat").value()->about.version,
                    {{"defense", saat()}, {"modality", "both"}}, target_inputs()));
  }
  static Json saat() { return {{"at_epochs", 20}, {"at_lr", 0.05}, {"pgd_iters", 1}, {"batch_size", 16}}; }

  /// The surface of an attack's job on pictures.
  void open(const char* attack, const char* protocol, std::optional<JobKey> defense, OpenSurface& into,
            const Json& more = Json::object()) {
    Json config = {{"modality", "image"}, {"protocol", protocol}};
    if (defense) config["defense"] = {{"name", "saat"}, {"config", saat()}};
    config.update(more);
    auto inputs = target_inputs();
    if (defense) inputs.push_back({"defense", *defense});
    attempts_.push_back(std::make_unique<worker::AttemptContext>(
        attempt_of(job(spec::JobKind::kTrainAttack, attack, 1, config, inputs))));
    const JobRun run{*attempts_.back(), silent_, *solo_};
    set_ = std::make_unique<data::PreparedSet>(std::move(open_data(run).value()));
    auto opened =
        open_surface(run, *set_, *attacks::attack_registry().find(attack).value(), Modality::kImage);
    ASSERT_TRUE(opened) << opened.error().message;
    into = std::move(*opened);
  }

  [[nodiscard]] Tensor training_inputs(Modality modality) const {
    return train::inputs_of(*set_, modality, set_->rows(data::Part::kTrain));
  }
  static Tensor signs(const Tensor& codes) {
    return torch::where(codes > 0, torch::ones_like(codes), -torch::ones_like(codes));
  }

  testing_support::TempFolder work_;
  artifacts::ArtifactStore store_{work_.path()};
  Silent silent_;
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  std::vector<std::unique_ptr<worker::AttemptContext>> attempts_;
  std::unique_ptr<data::PreparedSet> set_;
  JobKey data_, model_;
  std::map<std::string, JobKey> codes_;
};

TEST_F(Surfaces, ShowTheBareModelAndItsCodesWhenStatic) {
  OpenSurface seen;
  open("ta_dch", "static", std::nullopt, seen);
  const torch::NoGradGuard no_grad;
  for (const Modality side : {Modality::kImage, Modality::kText}) {
    const Tensor expected = signs(seen.target.model->encode(side, training_inputs(side)));
    EXPECT_TRUE((side == Modality::kImage ? seen.surface.train_codes_image : seen.surface.train_codes_text)
                    .equal(expected));
  }
  const Tensor pictures = training_inputs(Modality::kImage);
  EXPECT_TRUE(seen.surface.encode(pictures).equal(seen.target.model->encode_image(pictures)));
}

/// A defense that replaces the model encodes the database too, and that is what queries are compared with.
TEST_F(Surfaces, ShowTheRobustModelAndItsCodesWhenTheAttackFollowsTheDefense) {
  const JobKey defense = robust();
  for (const char* protocol : {"adaptive", "retrained"}) {
    OpenSurface seen;
    open("pgd", protocol, defense, seen);
    const torch::NoGradGuard no_grad;
    const Tensor pictures = training_inputs(Modality::kImage), texts = training_inputs(Modality::kText);
    const Tensor robust_images = signs(seen.pipeline->encode_retrieval(Modality::kImage, pictures));
    EXPECT_FALSE(robust_images.equal(signs(seen.target.model->encode_image(pictures))));
    EXPECT_TRUE(seen.surface.train_codes_image.equal(robust_images));
    EXPECT_TRUE(
        seen.surface.train_codes_text.equal(signs(seen.pipeline->encode_retrieval(Modality::kText, texts))));
    EXPECT_TRUE(seen.surface.encode(pictures).equal(seen.pipeline->encode_query(Modality::kImage, pictures)));
  }
}

/// Queries are blurred before the target sees them, database items are not.
TEST_F(Surfaces, OfTheDatabaseAreWhateverEncodesIt) {
  const Json blurred = {{"defense", {{"name", "box_blur"}, {"config", {{"radius", 1}}}}}};
  Json items = blurred;
  items["part"] = "retrieval";
  OpenSurface of_queries, of_items;
  open("pgd", "adaptive", std::nullopt, of_queries, blurred);
  open("pgd", "adaptive", std::nullopt, of_items, items);
  const torch::NoGradGuard no_grad;
  const Tensor pictures = training_inputs(Modality::kImage);
  const Tensor bare = of_items.target.model->encode_image(pictures);
  EXPECT_TRUE(of_items.surface.encode(pictures).equal(bare));
  EXPECT_FALSE(of_queries.surface.encode(pictures).equal(bare));
}

TEST_F(Surfaces, GiveABlackBoxRankedListsAndNothingElse) {
  const JobKey defense = robust();
  for (const bool retrained : {false, true}) {
    OpenSurface seen;
    open("eqb2a", retrained ? "retrained" : "static", retrained ? std::optional(defense) : std::nullopt,
         seen);
    EXPECT_FALSE(seen.surface.encode);
    EXPECT_FALSE(seen.surface.train_codes_image.defined());
    EXPECT_FALSE(seen.surface.train_codes_text.defined());
    EXPECT_TRUE(seen.surface.weights.empty());

    const torch::NoGradGuard no_grad;
    const auto lists = make_ranked_lists(seen);
    EXPECT_EQ(lists->queries_used(), 0);
    std::int64_t n_asked = 0;
    for (const Modality side : {Modality::kImage, Modality::kText}) {
      const Tensor asked = training_inputs(side).slice(0, 0, 5);
      const Tensor found = lists->rank(side, asked);
      EXPECT_EQ(lists->queries_used(), n_asked += 5);
      const auto code = [&](Modality modality, const Tensor& inputs, bool database) {
        if (!retrained) return signs(seen.target.model->encode(modality, inputs));
        return signs(database ? seen.pipeline->encode_retrieval(modality, inputs)
                              : seen.pipeline->encode_query(modality, inputs));
      };
      const Tensor items = code(other(side), training_inputs(other(side)), true);
      const Tensor distances = -code(side, asked, false).matmul(items.t());
      ASSERT_EQ(found.sizes(), distances.sizes());
      const Tensor along = distances.gather(1, found);  // nearest first, and ties by position
      const Tensor step = along.slice(1, 1) - along.slice(1, 0, -1);
      const Tensor moved = found.slice(1, 1) - found.slice(1, 0, -1);
      EXPECT_TRUE(step.gt(0).logical_or(step.eq(0).logical_and(moved.gt(0))).all().item<bool>());
    }
    EXPECT_EQ(lists->rank(Modality::kImage, training_inputs(Modality::kImage).slice(0, 0, 0)).size(0), 0);
    EXPECT_EQ(lists->queries_used(), n_asked);
  }
}

}  // namespace
}  // namespace gauntlet::run
