// Batches, the training loop, checkpoints.

#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <set>

#include "core/io/npy.hpp"
#include "core/train/batches.hpp"
#include "core/train/checkpoint.hpp"
#include "core/train/seeding.hpp"
#include "core/train/trainer.hpp"
#include "tests/methods_a/toys.hpp"

namespace gauntlet::train {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::int64_t kItems = 14;  // 2 queries, 10 training, 2 retrieval only
constexpr std::int64_t kSide = 2;

template <io::Element T>
void write(const fs::path& path, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
  auto writer = io::NpyWriter::create(path, io::dtype_of<T>(), shape);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(writer->append(std::span<const T>(values)));
  ASSERT_TRUE(writer->finish());
}

/// Item i: every picture byte 10 i + channel, text (i, 1), label i mod 3 (item 5: none), queries first.
class Prepared : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / fmt::format("prepared-{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::vector<std::uint8_t> images, labels(3 * kItems), split;
    std::vector<float> text;
    for (std::uint8_t item = 0; item < kItems; ++item) {
      for (std::int64_t pixel = 0; pixel < kSide * kSide; ++pixel) {
        for (std::uint8_t channel = 0; channel < 3; ++channel) {
          images.push_back(static_cast<std::uint8_t>(10 * item + channel));
        }
      }
      text.insert(text.end(), {static_cast<float>(item), 1});
      if (item != 5) labels[3U * item + item % 3U] = 1;
      split.push_back(item < 2 ? 0 : (item < 12 ? 1 : 2));
    }
    write(folder_ / "images.npy", {kItems, kSide, kSide, 3}, images);
    write(folder_ / "text.npy", {kItems, 2}, text);
    write(folder_ / "labels.npy", {kItems, 3}, labels);
    write(folder_ / "split.npy", {kItems}, split);
    ASSERT_TRUE(
        write_file_atomic(folder_ / "dataset.json", R"({"format": 1, "label_names": ["a", "b", "c"]})"));
    auto opened = data::PreparedSet::open(folder_);
    ASSERT_TRUE(opened) << opened.error().message;
    set_ = std::make_unique<data::PreparedSet>(std::move(*opened));
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  std::unique_ptr<data::PreparedSet> set_;
};

TEST_F(Prepared, BecomesTensorsOfTheDocumentedShapesAndRanges) {
  const std::vector<std::int64_t> items = {13, 4};
  const torch::Tensor images = images_of(*set_, items);
  EXPECT_EQ(images.sizes(), torch::IntArrayRef({2, 3, kSide, kSide}));
  EXPECT_TRUE(images.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_EQ(images[0][2][1][0].item<float>(), 132.0F / 255.0F);
  EXPECT_EQ(stored_inputs_of(*set_, Modality::kImage, items)[1][1][0][1].item<int>(), 41);
  EXPECT_EQ(text_of(*set_, items)[1][0].item<float>(), 4);
  EXPECT_TRUE(labels_of(*set_, items).equal(torch::tensor({{0.0F, 1.0F, 0.0F}, {0.0F, 1.0F, 0.0F}})));
  EXPECT_TRUE(inputs_of(*set_, Modality::kImage, items).equal(images));
  const models::ModelShape shape = shape_for(*set_, 16);
  EXPECT_EQ(to_json(shape), to_json(models::ModelShape{kSide, 0, 2, 3, 16}));
}

std::vector<std::vector<std::int64_t>> rows_of_epochs(BatchSource& source, int n_epochs) {
  std::vector<std::vector<std::int64_t>> epochs(static_cast<std::size_t>(n_epochs));
  for (auto& rows : epochs) {
    while (const auto batch = source.next()) {
      for (std::int64_t row = 0; row < batch->rows.size(0); ++row) {
        rows.push_back(batch->rows[row].item<std::int64_t>());
        // Everything of a row belongs together: training position p is item p + 2.
        EXPECT_EQ(batch->text[row][0].item<float>(), static_cast<float>(rows.back() + 2));
        EXPECT_NEAR(batch->images[row][0][0][0].item<float>(),
                    static_cast<float>(10 * (rows.back() + 2)) / 255, 1e-6);
        EXPECT_EQ(batch->labels[row].argmax().item<std::int64_t>(), (rows.back() + 2) % 3);
      }
    }
  }
  return epochs;
}

TEST_F(Prepared, IsShuffledAnewEveryEpochWithoutUnlabelledItems) {
  const BatchOptions options{.batch_size = 4, .keeps_partial_batch = true, .seed = 3};
  const auto source = make_batch_source(*set_, options);
  EXPECT_EQ(source->n_pairs(), 9);
  EXPECT_EQ(source->n_skipped(), 1);
  EXPECT_EQ(source->n_steps_per_epoch(), 3);
  const auto epochs = rows_of_epochs(*source, 3);
  for (const auto& rows : epochs)
    EXPECT_THAT(rows, ::testing::UnorderedElementsAre(0, 1, 2, 4, 5, 6, 7, 8, 9));
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_EQ(rows_of_epochs(*make_batch_source(*set_, options), 3), epochs);
  const auto later = make_batch_source(*set_, options);
  later->start_at(1);
  EXPECT_THAT(rows_of_epochs(*later, 2), ::testing::ElementsAre(epochs[1], epochs[2]));
}

TEST_F(Prepared, DropsThePartialBatchAndShrinksABatchLargerThanTheSet) {
  const auto dropping = make_batch_source(*set_, {.batch_size = 4, .seed = 3});
  EXPECT_EQ(dropping->n_steps_per_epoch(), 2);
  EXPECT_EQ(rows_of_epochs(*dropping, 1).front().size(), 8U);
  const auto large = make_batch_source(*set_, {.batch_size = 100, .seed = 3});
  EXPECT_EQ(large->n_steps_per_epoch(), 1);
  EXPECT_EQ(rows_of_epochs(*large, 1).front().size(), 9U);
}

TEST_F(Prepared, IsSplitBetweenRanksSoThatTheirSlicesMakeTheGlobalBatch) {
  const auto all = make_batch_source(*set_, {.batch_size = 5, .keeps_partial_batch = true, .seed = 8});
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (std::int64_t rank = 0; rank < 3; ++rank) {
    ranks.push_back(make_batch_source(
        *set_, {.batch_size = 5, .keeps_partial_batch = true, .seed = 8, .rank = rank, .world_size = 3}));
  }
  while (const auto batch = all->next()) {
    std::vector<torch::Tensor> parts;
    for (const auto& rank : ranks) parts.push_back(rank->next()->rows);
    EXPECT_TRUE(torch::cat(parts).equal(batch->rows));
  }
  for (const auto& rank : ranks) EXPECT_FALSE(rank->next());
}

TEST(Slices, CoverEverythingAndDifferByAtMostOne) {
  for (const std::int64_t n_rows : {0, 1, 7, 256}) {
    for (const std::int64_t world_size : {1, 2, 3, 5}) {
      std::int64_t next = 0;
      for (std::int64_t rank = 0; rank < world_size; ++rank) {
        const Slice slice = slice_of(n_rows, rank, world_size);
        EXPECT_EQ(slice.begin, next);
        EXPECT_GE(slice.end - slice.begin, n_rows / world_size);
        EXPECT_LE(slice.end - slice.begin, n_rows / world_size + 1);
        next = slice.end;
      }
      EXPECT_EQ(next, n_rows);
    }
  }
}

/// Losses from a list, one per step.
class Scripted final : public models::ModelTraining {
 public:
  explicit Scripted(std::vector<double> totals) : totals_(std::move(totals)) {}
  [[nodiscard]] std::int64_t n_epochs() const override { return 2; }
  [[nodiscard]] std::int64_t batch_size() const override { return 4; }
  models::Losses step(const models::TrainingBatch& /*batch*/) override {
    const double total = totals_.at(n_steps_++);
    return {{"total", total}, {"half", total / 2}};
  }
  void begin(std::int64_t n_steps) override { n_announced_ = n_steps; }
  void end_epoch() override { ++n_ended_; }
  [[nodiscard]] models::Rates learning_rates() const override { return {{"lr", 0.5}, {"d_lr", 0.25}}; }
  void visit_state(models::StateVisitor& /*visitor*/) override {}
  std::vector<double> totals_;
  std::size_t n_steps_ = 0;
  std::int64_t n_announced_ = 0;
  int n_ended_ = 0;
};

TEST_F(Prepared, IsTrainedOnEpochByEpochWithCurves) {
  const auto source = make_batch_source(*set_, {.batch_size = 4});
  const auto solo = collective::make_solo_communicator();
  Scripted training({1, 3, 10, 20});
  std::vector<EpochReport> reports;
  models::TrainingWatch watch({.name = "toy", .weights = [] { return NamedTensors(); }});
  const auto log = train_model(training, *source, watch, *solo,
                               [&](const EpochReport& report) { reports.push_back(report); });
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_THAT(log->curves.at("total"), ::testing::ElementsAre(2.0F, 15.0F));
  EXPECT_THAT(log->curves.at("half"), ::testing::ElementsAre(1.0F, 7.5F));
  EXPECT_EQ(log->n_steps, 4);
  EXPECT_EQ(training.n_ended_, 2);
  EXPECT_EQ(training.n_announced_, 4);
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[1].epoch, 2);
  EXPECT_EQ(reports[1].n_epochs, 2);
  EXPECT_EQ(reports[1].losses.at("total"), 15);
  EXPECT_GT(reports[1].pairs_per_s, 0);
}

TEST_F(Prepared, StopsWhereALossIsNoLongerANumberAndKeepsTheWeightsFromBefore) {
  const auto source = make_batch_source(*set_, {.batch_size = 4});
  const auto solo = collective::make_solo_communicator();
  Scripted training({1, 3, 10, std::numeric_limits<double>::infinity()});
  torch::Tensor weight = torch::zeros({2});
  NamedTensors kept;
  models::TrainingWatch watch({.name = "toy",
                               .weights =
                                   [&] {
                                     return NamedTensors{{"weight", weight.fill_(training.n_ended_)}};
                                   },
                               .keep = [&](const NamedTensors& weights) -> Result<fs::path> {
                                 kept = weights;
                                 return "/logs/1.weights.safetensors";
                               }});
  const auto log = train_model(training, *source, watch, *solo, {});
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, ErrorCode::kDiverged);
  EXPECT_EQ(
      log.error().message,
      "toy: loss 'half' became inf in epoch 2, step 2, at d_lr 0.25 and lr 0.5; a smaller learning rate "
      "may help; the weights after epoch 1 are kept in /logs/1.weights.safetensors");
  ASSERT_EQ(kept.size(), 1U);
  weight.fill_(7);  // they are copies
  EXPECT_TRUE(kept.at("weight").eq(1).all().item<bool>());
}

TEST_F(Prepared, RefusesToTrainWithoutLabels) {
  const auto message = [&](const std::vector<std::uint8_t>& labels) {
    write(folder_ / "labels.npy", {kItems, 3}, labels);
    const data::PreparedSet set = data::PreparedSet::open(folder_).value();
    const auto source = make_batch_source(set, {.batch_size = 4});
    const auto solo = collective::make_solo_communicator();
    Scripted training({});
    models::TrainingWatch watch({.name = "toy", .weights = [] { return NamedTensors(); }});
    const auto log = train_model(training, *source, watch, *solo, {});
    EXPECT_FALSE(log);
    EXPECT_EQ(training.n_announced_, 0);
    EXPECT_EQ(log.error().code, ErrorCode::kInvalid);
    return log.error().message;
  };
  std::vector<std::uint8_t> labels(3 * kItems);
  labels[0] = labels[3U * 13] = 1;  // a query and an item that is for retrieval only
  EXPECT_EQ(message(labels), "none of 10 training items has a label; training needs at least 2 that have");
  labels[3U * 7] = 1;
  EXPECT_EQ(message(labels), "only 1 of 10 training items has a label; training needs at least 2 that have");
}

TEST(TrainingWatch, RemembersOnlyWhatIsFinite) {
  const auto solo = collective::make_solo_communicator();
  torch::Tensor weight = torch::zeros({2});
  int n_kept = 0;
  models::TrainingWatch watch({.name = "toy",
                               .weights =
                                   [&] {
                                     return NamedTensors{{"weight", weight}};
                                   },
                               .keep = [&](const NamedTensors& weights) -> Result<fs::path> {
                                 ++n_kept;
                                 EXPECT_TRUE(weights.at("weight").eq(3).all().item<bool>());
                                 return "/kept";
                               },
                               .communicator = solo.get()});
  EXPECT_TRUE(watch.check({{"total", 1}}, {.epoch = 1, .step = 1}));
  EXPECT_THAT(
      watch.check({{"total", std::nan("")}}, {.epoch = 1, .step = 2}).error().message,
      HasSubstr("in epoch 1, step 2; a smaller learning rate may help; no epoch ended before, so there "
                "are no good weights to keep"));
  weight.fill_(3);
  EXPECT_TRUE(watch.end_epoch({.epoch = 1}));
  weight[1] = std::numeric_limits<float>::infinity();
  const Status broken = watch.end_epoch({.epoch = 2, .rates = {{"lr", 0.1}}});
  ASSERT_FALSE(broken);
  EXPECT_EQ(
      broken.error().message,
      "toy: weight 'weight' is no longer finite in epoch 2, at lr 0.1; a smaller learning rate may help; "
      "the weights after epoch 1 are kept in /kept");
  EXPECT_EQ(n_kept, 1);
}

TEST(TrainingWatch, FindsTheStepOfLossesThatAreOnlySummedUp) {
  const auto solo = collective::make_solo_communicator();
  models::TrainingWatch watch(
      {.name = "toy", .weights = [] { return NamedTensors(); }, .communicator = solo.get()});
  models::EpochLosses good;
  good.add({{"total", torch::tensor(1.0)}, {"part", torch::tensor(3.0)}});
  good.add({{"total", torch::tensor(2.0)}, {"part", torch::tensor(5.0)}});
  const auto means = watch.end_epoch(good, {.epoch = 1});
  ASSERT_TRUE(means);
  EXPECT_EQ(means->at("total"), 1.5);
  EXPECT_EQ(means->at("part"), 4);
  models::EpochLosses bad = good;
  bad.add({{"total", torch::tensor(1.0)}, {"part", torch::tensor(std::nan(""))}});
  bad.add({{"total", torch::tensor(1.0)}, {"part", torch::tensor(1.0)}});
  const auto diverged = watch.end_epoch(bad, {.epoch = 2, .rates = {{"lr", 1e-3}}});
  ASSERT_FALSE(diverged);
  EXPECT_EQ(diverged.error().message,
            "toy: loss 'part' became nan in epoch 2, step 3, at lr 0.001; a smaller learning rate may help");
}

TEST(Checkpoint, KeepsEveryTypeAndMetadata) {
  const fs::path path = fs::path(::testing::TempDir()) / fmt::format("types-{}.safetensors", getpid());
  NamedTensors tensors = {{"float", torch::rand({2, 3})},
                          {"double", torch::rand({4}, torch::kFloat64)},
                          {"long", torch::arange(5)},
                          {"byte", torch::arange(3, torch::kUInt8)},
                          {"bool", torch::tensor({true, false})},
                          {"scalar", torch::tensor(2.5)},
                          {"empty", torch::zeros({0, 4})},
                          {"view", torch::rand({3, 4}).t()}};
  ASSERT_TRUE(save_tensors(path, tensors, {{"kind", "test"}}));
  const auto loaded = load_tensors(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(loaded->at(name).equal(tensor)) << name;
    EXPECT_EQ(loaded->at(name).scalar_type(), tensor.scalar_type()) << name;
  }
  fs::remove(path);
  const auto refused = save_tensors(path, {{"complex", torch::zeros({1}, torch::kComplexFloat)}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("tensor 'complex' has a type"));
}

TEST(Checkpoint, RefusesWhatDoesNotFitAndChangesNothing) {
  torch::nn::Linear module(3, 2);
  const NamedTensors before = {{"weight", module->weight.detach().clone()},
                               {"bias", module->bias.detach().clone()}};
  const torch::Tensor zeros = torch::zeros({2});
  const std::pair<NamedTensors, std::string> cases[] = {
      {{{"bias", zeros}}, "the checkpoint has no tensor 'weight'"},
      {{{"bias", zeros}, {"weight", torch::zeros({3, 2})}},
       "tensor 'weight' of the checkpoint has shape [3, 2]; the model needs [2, 3]"},
      {{{"bias", zeros}, {"weight", torch::zeros({2, 3})}, {"extra", zeros}},
       "the checkpoint has a tensor 'extra' that the model does not know"}};
  for (const auto& [tensors, message] : cases) {
    const Status status = restore(*module, tensors);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(status.error().message, message);
    EXPECT_TRUE(module->bias.equal(before.at("bias")));
  }
  EXPECT_TRUE(restore(*module, {{"bias", zeros}, {"weight", torch::zeros({2, 3})}}));
  EXPECT_TRUE(module->weight.eq(0).all().item<bool>());
  EXPECT_TRUE(module->weight.requires_grad());
  EXPECT_EQ(load_module("/nonexistent/model.safetensors", *module).error().code, ErrorCode::kNotFound);
}

TEST(Seeding, DrawsTheSameWeightsFromTheSameSeed) {
  seed_weights(11);
  const torch::nn::Linear first(4, 4);
  seed_weights(11);
  EXPECT_TRUE(torch::nn::Linear(4, 4)->weight.equal(first->weight));
  seed_weights(12);
  EXPECT_FALSE(torch::nn::Linear(4, 4)->weight.equal(first->weight));
}

TEST(Threads, AreAtLeastOne) {
  const int before = torch::get_num_threads();
  set_threads(2);
  EXPECT_EQ(torch::get_num_threads(), 2);
  set_threads(0);
  EXPECT_EQ(torch::get_num_threads(), 1);
  set_threads(before);
}

}  // namespace
}  // namespace gauntlet::train
