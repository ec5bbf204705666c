// The features job and the jobs that read its artifact, with the real CNN-F of random weights on six small
// pictures.

#include "core/base/md5.hpp"
#include "core/models/backbone.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "tests/backbones/weight_files.hpp"
#include "tests/support/job_folder.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::run {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A work folder with a prepared set and a weight file, and jobs run in it one by one.
class FeaturesJob : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    torch::manual_seed(21);
    sources_ = new testing_support::TempFolder;
    testing::write_matconvnet(weights(), testing::random_layers(models::kCnnfSizes, true, 0), {}, {});
    md5_ = md5_file(weights()).value();
  }
  static void TearDownTestSuite() { delete sources_; }
  static fs::path weights() { return *sources_ / "vgg.mat"; }

  static Json backbone() {
    models::BackboneConfig config;
    config.backbone_md5 = md5_;
    Json fields = write_config(config);
    fields.erase("backbone_weights");
    return fields;
  }
  static Json location() { return {{"backbone_weights", weights().string()}}; }

  [[nodiscard]] Result<JobKey> run(const spec::JobSpec& job) const { return folder_.run(job); }

  spec::JobSpec features_job() const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kFeatures;
    job.version = 1;
    job.config = backbone();
    job.inputs = {{"data", data_}};
    job.locations = location();
    return job;
  }

  spec::JobSpec training_job(std::optional<JobKey> features) const {
    const models::ModelEntry& entry = *models::model_registry().find("cpah").value();
    spec::JobSpec job;
    job.kind = spec::JobKind::kTrainModel;
    job.entry = "cpah";
    job.version = entry.about.version;
    Json model = {{"hidden", 16}, {"epochs", 2}, {"batch_size", 2}};
    model.update(backbone());
    job.config = {{"model", model}, {"bits", 16}};
    job.inputs = {{"data", data_}};
    if (features) job.inputs.push_back({"features", *features});
    job.locations = location();
    job.seed = 1;
    return job;
  }

  spec::JobSpec encoding_job(const JobKey& model, std::optional<JobKey> features) const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kEncode;
    job.entry = "none";
    job.version = 1;
    job.config = {
        {"defense", Json::object()}, {"modality", "image"}, {"part", "retrieval"}, {"source", "clean"}};
    job.inputs = {{"data", data_}};
    if (features) job.inputs.push_back({"features", *features});
    job.inputs.push_back({"model", model});
    job.seed = 1;
    return job;
  }

  [[nodiscard]] fs::path file(spec::JobKind kind, const JobKey& key, std::string_view name) const {
    return folder_.file(kind, key, name);
  }

  static inline testing_support::TempFolder* sources_ = nullptr;
  static inline std::string md5_;
  testing_support::JobFolder folder_;
  JobKey data_ = folder_.add(data::SmallSet());
};

TEST_F(FeaturesJob, ItsArtifactStandsInForPicturesInTrainingAndEncoding) {
  const auto features = run(features_job());
  ASSERT_TRUE(features) << features.error().message;
  const auto array = io::read_npy(file(spec::JobKind::kFeatures, *features, "features.npy"));
  ASSERT_TRUE(array) << array.error().message;
  ASSERT_EQ(array->shape, (std::vector<std::int64_t>{6, models::kCnnfSizes.fc7}));

  const auto trained = run(training_job(*features));
  ASSERT_TRUE(trained) << trained.error().message;
  const auto tensors = train::load_tensors(file(spec::JobKind::kTrainModel, *trained, "model.safetensors"));
  ASSERT_TRUE(tensors) << tensors.error().message;

  // The checkpoint's trunk is the file's, and gives the cached features.
  models::Cnnf trunk(models::kCnnfSizes, false);
  ASSERT_TRUE(models::restore(trunk, models::with_prefix(*tensors, "trunk.")));
  const auto set = data::PreparedSet::open(folder_.store().folder_of(spec::JobKind::kPrepare, data_));
  ASSERT_TRUE(set);
  const std::vector<std::int64_t> items = {0, 1, 2, 3, 4, 5};
  const torch::Tensor direct = trunk.forward(train::images_of(*set, items)).detach();
  EXPECT_GT(direct.abs().max().item<double>(), 0);
  const train::CachedFeatures cached{array->as<float>().value(), array->shape[1]};
  testing::expect_near(train::features_of(cached, items), direct.to(torch::kFloat64), 1e-6, "features",
                       /*floor=*/0);

  const auto by_features = run(encoding_job(*trained, *features));
  const auto by_pictures = run(encoding_job(*trained, std::nullopt));
  ASSERT_TRUE(by_features && by_pictures);
  EXPECT_EQ(testing_support::bytes_of_file(file(spec::JobKind::kEncode, *by_features, "codes.npy")),
            testing_support::bytes_of_file(file(spec::JobKind::kEncode, *by_pictures, "codes.npy")));
}

TEST_F(FeaturesJob, WithoutItsWeightFileItSaysWhichOneIsMissing) {
  spec::JobSpec job = features_job();
  job.locations = Json::object();
  const auto refused = run(std::move(job));
  ASSERT_FALSE(refused);
  EXPECT_THAT(
      refused.error().message,
      HasSubstr("features: backbone cnnf starts from published weights; set backbone_weights to the file"));
  spec::JobSpec training = training_job(std::nullopt);
  training.locations = Json::object();
  const auto untrained = run(std::move(training));
  ASSERT_FALSE(untrained);
  EXPECT_THAT(untrained.error().message, HasSubstr("cpah: backbone cnnf starts from published weights"));
}

TEST_F(FeaturesJob, ABackboneThatLearnsHasNoFeatures) {
  spec::JobSpec job = features_job();
  job.config["backbone_frozen"] = false;
  const auto refused = run(std::move(job));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "features are computed by frozen backbones only; this one is cnnf");
}

}  // namespace
}  // namespace gauntlet::run
