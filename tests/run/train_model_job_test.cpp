// Training jobs where something is wrong with the data or the numbers, and models that meet other data.

#include <gmock/gmock.h>

#include "core/models/hashing_model.hpp"
#include "core/models/weights.hpp"
#include "core/train/checkpoint.hpp"
#include "tests/support/job_folder.hpp"

namespace gauntlet::run {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// 40 items, 32 of them for training; label and words of item i follow from i mod 2.
data::SmallSet forty_items() {
  data::SmallSet set;
  set.split.assign(40, 1);
  std::fill_n(set.split.begin(), 8, std::uint8_t{0});
  set.fill_images();
  set.text.clear();
  set.labels.clear();
  for (std::size_t item = 0; item < set.split.size(); ++item) {
    const auto odd = static_cast<std::uint8_t>(item % 2), even = static_cast<std::uint8_t>(1 - odd);
    set.labels.insert(set.labels.end(), {even, odd});
    set.text.insert(set.text.end(), {even, odd, static_cast<std::uint8_t>(item % 3 == 0)});
  }
  return set;
}

class TrainModelJob : public ::testing::Test {
 protected:
  [[nodiscard]] static spec::JobSpec job(const std::string& entry, const JobKey& data, Json options) {
    Json model = {{"backbone", "picto_cnn"}, {"backbone_width", 4}, {"hidden", 16}, {"batch_size", 8}};
    model.update(options);
    spec::JobSpec job;
    job.kind = spec::JobKind::kTrainModel;
    job.entry = entry;
    job.version = models::model_registry().find(entry).value()->about.version;
    job.config = {{"model", model}, {"bits", 16}};
    job.inputs = {{"data", data}};
    job.seed = 1;
    return job;
  }

  [[nodiscard]] static spec::JobSpec encoding(const JobKey& data, const JobKey& model) {
    spec::JobSpec job;
    job.kind = spec::JobKind::kEncode;
    job.entry = "none";
    job.version = 1;
    job.config = {
        {"defense", Json::object()}, {"modality", "text"}, {"part", "retrieval"}, {"source", "clean"}};
    job.inputs = {{"data", data}, {"model", model}};
    job.seed = 1;
    return job;
  }

  testing_support::JobFolder folder_;
};

TEST_F(TrainModelJob, LeavesItemsWithoutLabelsOutAndCountsThem) {
  data::SmallSet set = forty_items();
  for (const std::size_t item : {9U, 20U, 33U}) set.labels[2 * item] = set.labels[2 * item + 1] = 0;
  const spec::JobSpec training = job("cpah", folder_.add(set), {{"epochs", 1}});
  ::testing::internal::CaptureStdout();
  const auto result = folder_.attempt(training);
  const std::string log = ::testing::internal::GetCapturedStdout();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(log, HasSubstr("3 of 32 training items have no label and are left out\n"));
  const auto artifact = folder_.store().open(spec::JobKind::kTrainModel, spec::key_of(training).value());
  ASSERT_TRUE(artifact) << artifact.error().message;
  EXPECT_EQ(artifact->about["n_skipped"], 3);
  const auto row = std::ranges::find(result->rows, "unlabelled_items", &spec::ResultRow::metric);
  ASSERT_NE(row, result->rows.end());
  EXPECT_EQ(row->value, 3);
  EXPECT_EQ(row->unit, "count");
}

TEST_F(TrainModelJob, RefusesATrainingSetWithoutLabels) {
  data::SmallSet set = forty_items();
  std::fill(set.labels.begin() + 16, set.labels.end(), std::uint8_t{0});
  const spec::JobSpec training = job("cpah", folder_.add(set), {{"epochs", 1}});
  const auto refused = folder_.attempt(training);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(refused.error().message,
            "none of 32 training items has a label; training needs at least 2 that have");
  EXPECT_FALSE(folder_.store().contains(spec::JobKind::kTrainModel, spec::key_of(training).value()));
}

TEST_F(TrainModelJob, ThatDivergesFailsAndKeepsItsLastGoodWeights) {
  const Json explosive = {{"optimiser", "sgd"}, {"schedule", "constant"}, {"epochs", 500},
                          {"lr_image", 10},     {"lr_text", 10},          {"warmup_steps", 100}};
  const spec::JobSpec training = job("dcmh", folder_.add(forty_items()), explosive);
  const JobKey key = spec::key_of(training).value();
  const auto failed = folder_.attempt(training);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kDiverged);
  const std::filesystem::path kept = folder_.log_of(key).parent_path() / "1.weights.safetensors";
  EXPECT_THAT(failed.error().message,
              MatchesRegex("dcmh: loss '[a-z]+' became -?(nan|inf) in epoch [0-9]+, step [1-4], at lr_image "
                           "[0-9.]+ and lr_text [0-9.]+; a smaller learning rate may help; the weights after "
                           "epoch [0-9]+ are kept in " +
                           kept.string()));
  const auto weights = train::load_tensors(kept);
  ASSERT_TRUE(weights) << weights.error().message;
  for (const auto& [name, tensor] : *weights) EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  const auto solo = collective::make_solo_communicator();
  const auto model = models::model_registry().find("dcmh").value()->make(
      training.config["model"], {.image_px = 8, .text_dim = 3, .n_labels = 2, .code_bits = 16}, solo.get());
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(models::restore(**model, *weights));
  EXPECT_FALSE(folder_.store().contains(spec::JobKind::kTrainModel, key));
}

TEST_F(TrainModelJob, ItsModelRefusesTextsOfAnotherLength) {
  const JobKey data = folder_.add(forty_items());
  data::SmallSet other = forty_items();
  other.text.resize(40 * 5);
  const auto model = folder_.run(job("cpah", data, {{"epochs", 1}}));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(folder_.run(encoding(data, *model)));
  const auto refused = folder_.attempt(encoding(folder_.add(other, "other"), *model));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message,
              MatchesRegex("the cpah model of .* was trained on texts of 3 values; those of this dataset "
                           "have 5"));
}

}  // namespace
}  // namespace gauntlet::run
