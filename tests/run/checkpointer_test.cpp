// What a run's state is taken down to and put back from, and when files of it are written.

#include <gmock/gmock.h>

#include "core/models/state.hpp"
#include "core/train/file_checkpointer.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::train {
namespace {

using models::StateReader;
using models::StateVisitor;
using models::StateWriter;
using ::testing::HasSubstr;

struct Toy {
  torch::nn::Linear net{3, 2};
  std::unique_ptr<torch::optim::Optimizer> optimiser;
  torch::Tensor codes, none;
  std::int64_t n_steps = 0;
  double rate = 0;
  models::Curves curves;

  void visit_state(StateVisitor& visitor) {
    visitor.module("net", *net);
    visitor.optimiser("optimiser", *optimiser);
    visitor.tensor("codes", codes);
    visitor.tensor("none", none);
    visitor.number("n_steps", n_steps);
    visitor.number("rate", rate);
    visitor.curves("curves", curves);
  }

  void step() {
    optimiser->zero_grad();
    net(torch::ones({1, 3})).square().sum().backward();
    optimiser->step();
    ++n_steps;
  }
};

Toy adam() {
  Toy toy;
  toy.optimiser = std::make_unique<torch::optim::Adam>(toy.net->parameters(), torch::optim::AdamOptions(0.1));
  return toy;
}
Toy sgd() {
  Toy toy;
  toy.optimiser =
      std::make_unique<torch::optim::SGD>(toy.net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  return toy;
}

models::NamedTensors taken_down(Toy& toy) {
  StateWriter writer;
  toy.visit_state(writer);
  models::NamedTensors copies;
  for (const auto& [name, tensor] : writer.tensors) copies[name] = tensor.clone();
  return copies;
}

TEST(State, ComesBackWithEverythingAnOptimiserRemembers) {
  for (const auto make : {&adam, &sgd}) {
    Toy first = make();
    first.step();
    first.step();
    first.optimiser->param_groups()[0].options().set_lr(0.03);
    first.codes = torch::rand({3, 4}).t();
    first.rate = 0.1;
    first.curves = {{"total", {1, 2}}, {"", {}}};
    const models::NamedTensors state = taken_down(first);
    Toy second = make();
    second.none = torch::ones({1});
    StateReader reader(state);
    second.visit_state(reader);
    ASSERT_TRUE(reader.finish()) << reader.finish().error().message;
    EXPECT_EQ(second.n_steps, 2);
    EXPECT_EQ(second.rate, 0.1);
    EXPECT_EQ(second.curves, first.curves);
    EXPECT_FALSE(second.none.defined());
    EXPECT_TRUE(second.codes.equal(first.codes));
    EXPECT_EQ(second.codes.strides(), first.codes.strides());
    EXPECT_NE(second.codes.data_ptr(), state.at("codes").data_ptr());
    first.step();
    second.step();
    EXPECT_TRUE(second.net->weight.equal(first.net->weight));
    EXPECT_EQ(second.optimiser->param_groups()[0].options().get_lr(), 0.03);
  }
}

TEST(State, OfAnOptimiserThatHasNotStepped) {
  Toy first = adam();
  const models::NamedTensors state = taken_down(first);
  Toy second = adam();
  second.step();
  StateReader reader(state);
  second.visit_state(reader);
  ASSERT_TRUE(reader.finish());
  first.step();
  second.step();
  EXPECT_TRUE(second.net->weight.equal(first.net->weight));
}

TEST(State, SaysWhatDoesNotFit) {
  Toy toy = adam();
  const models::NamedTensors state = taken_down(toy);
  const auto problem = [&](models::NamedTensors changed) {
    StateReader reader(changed);
    Toy other = adam();
    other.visit_state(reader);
    const Status fits = reader.finish();
    EXPECT_FALSE(fits);
    return fits ? "" : fits.error().message;
  };
  models::NamedTensors lacking = state;
  lacking.erase("rate");
  EXPECT_EQ(problem(lacking), "it has no 'rate'");
  models::NamedTensors larger = state;
  larger["net/weight"] = torch::ones({2, 4});
  EXPECT_EQ(problem(larger), "'net/weight' has shape [2, 4], where [2, 3] is needed");
  models::NamedTensors more = state;
  more["extra"] = torch::ones({1});
  EXPECT_EQ(problem(more), "it has a 'extra', which nothing asks for");
}

class Files : public ::testing::Test {
 protected:
  [[nodiscard]] FileCheckpointer open(double minutes, std::filesystem::path folder = {}) {
    return FileCheckpointer({.folder = folder.empty() ? folder_ / "job" : std::move(folder),
                             .belongs_to = {{"job", "1"}},
                             .minutes = minutes,
                             .communicator = solo_.get(),
                             .stop = &stop_});
  }
  [[nodiscard]] std::filesystem::path file() const { return folder_ / "job" / kCheckpointFile; }

  testing_support::TempFolder folder_;
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  std::atomic<bool> stop_ = false;
  std::int64_t value_ = 0;
  models::Stage stage_{.n_before = 2, .n_epochs = 3, .n_in_all = 5, .state = [this](StateVisitor& visitor) {
                         visitor.number("value", value_);
                       }};
};

TEST_F(Files, AreWrittenWhenTheyAreDueAndHoldTheNewestEpoch) {
  FileCheckpointer seldom = open(1e6);
  EXPECT_EQ(seldom.resume(stage_).value(), 0);
  ASSERT_TRUE(seldom.end_epoch(stage_, 1));
  EXPECT_FALSE(std::filesystem::exists(file()));
  FileCheckpointer always = open(0);
  for (value_ = 1; value_ <= 2; ++value_) ASSERT_TRUE(always.end_epoch(stage_, value_));
  value_ = 0;
  FileCheckpointer next = open(0);
  EXPECT_EQ(next.resume({.n_epochs = 2, .n_in_all = 5, .state = {}}).value(), 2);  // an earlier stage
  EXPECT_EQ(value_, 0);
  EXPECT_EQ(next.resume(stage_).value(), 2);
  EXPECT_EQ(value_, 2);
  EXPECT_EQ(next.resume({.n_before = 5, .n_epochs = 1, .n_in_all = 6, .state = {}}).value(),
            0);  // a later one
  next.discard();
  EXPECT_FALSE(std::filesystem::exists(file().parent_path()));
}

TEST_F(Files, AreWrittenAtOnceWhenTheRunIsToStop) {
  FileCheckpointer seldom = open(1e6);
  stop_ = true;
  const Status stopped = seldom.end_epoch(stage_, 1);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(stopped.error().message,
            "asked to stop: stopped after epoch 3 of 5, whose checkpoint the next attempt goes on from");
  EXPECT_TRUE(std::filesystem::exists(file()));
  EXPECT_TRUE(seldom.end_epoch(stage_, 3));  // all is done: what is left takes no time
}

TEST_F(Files, ThatCannotBeWrittenCostALineAndNothingElse) {
  folder_.write("taken", "a file where the folder should be");
  FileCheckpointer blocked = open(0, folder_ / "taken" / "job");
  ::testing::internal::CaptureStdout();
  const Status ended = blocked.end_epoch(stage_, 1);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("no checkpoint after epoch 3: cannot "));
  EXPECT_TRUE(ended) << ended.error().message;
}

TEST_F(Files, HalfWrittenAreRemoved) {
  FileCheckpointer writer = open(0);
  ASSERT_TRUE(writer.end_epoch(stage_, 1));
  folder_.write("job/checkpoint.safetensors.tmp12-0", "half");
  const FileCheckpointer next = open(0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "job" / "checkpoint.safetensors.tmp12-0"));
  EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(Files, BringTheGeneratorBack) {
  FileCheckpointer writer = open(0);
  torch::manual_seed(5);
  static_cast<void>(torch::rand({3}));
  ASSERT_TRUE(writer.end_epoch(stage_, 1));
  const torch::Tensor expected = torch::rand({3});
  torch::manual_seed(6);
  FileCheckpointer next = open(0);
  EXPECT_EQ(next.resume(stage_).value(), 1);
  EXPECT_TRUE(torch::rand({3}).equal(expected));
}

}  // namespace
}  // namespace gauntlet::train
