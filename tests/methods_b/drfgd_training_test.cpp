// DRFGD's training: recorded steps, every switch, one rank against two, what it refuses.
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "core/base/files.hpp"
#include "core/defenses/detail/drfgd_trainer.hpp"
#include "tests/methods_b/support.hpp"
#include "tests/support/temp_folder.hpp"

extern char** environ;

namespace gauntlet::defenses {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using torch::Tensor;

const DefenseEntry& drfgd() { return **defense_registry().find("drfgd"); }

Json with(Json options, const Json& changes) {
  options.update(changes);
  return options;
}

// ---- recorded steps ----

class DrfgdStep : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  static bool is_double() { return GetParam() == torch::kDouble; }
};
INSTANTIATE_TEST_SUITE_P(Types, DrfgdStep, ::testing::Values(torch::kDouble, torch::kFloat),
                         [](const auto& one) { return one.param == torch::kDouble ? "double" : "float"; });

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

struct RecordedStep {
  const Case& recorded;
  DrfgdPlayers players;
  DrfgdBatch batch;
  bool is_double;

  /// Two steps; losses, gradients of the first and all weights after each.
  void expect_two_steps() {
    recorded.load(*players.generator, "gen.");
    recorded.load(*players.discriminator, "dis.");
    players.code_sum = recorded["in.codes_image"] + recorded["in.codes_text"];
    players.train_labels = recorded["in.labels_train"];
    batch.labels = recorded["in.labels"];
    batch.global_size = batch.labels.size(0);
    DrfgdTrainer trainer(DrfgdConfig{}, players);
    for (const std::string step : {"1", "2"}) {
      SCOPED_TRACE("step " + step);
      const auto losses = trainer.step(batch);
      for (const auto& [name, key] : std::map<std::string, std::string>{{"D", "d"},
                                                                        {"G", "total"},
                                                                        {"ali", "ali"},
                                                                        {"cls", "cls"},
                                                                        {"dis", "dis"},
                                                                        {"div", "div"},
                                                                        {"rec", "rec"}}) {
        recorded.expect("loss.step" + step + "." + name, losses.at(key), is_double ? 1e-7 : 2e-4);
      }
      if (step == "1") expect_gradients();
      expect_weights(step);
    }
  }

 private:
  void expect_gradients() {
    const double tolerance = is_double ? 1e-7 : 2e-3;
    const auto generator = players.generator->named_parameters(),
               discriminator = players.discriminator->named_parameters();
    for (const auto& name : recorded.names("grad.gen."))
      recorded.expect("grad.gen." + name, generator[name].grad(), tolerance);
    for (const auto& name : recorded.names("grad.dis.")) {
      recorded.expect("grad.dis." + name, discriminator[name].grad(), tolerance);
    }
    std::vector<Tensor> norms;
    for (const auto& name : split(recorded.text("grad_norms_order")))
      norms.push_back(generator[name].grad().norm());
    recorded.expect("out.grad_norms", torch::stack(norms), tolerance);
  }

  void expect_weights(const std::string& step) {
    const double tolerance = is_double ? 1e-7 : 1e-3;
    const auto skipped = split(recorded.text("fp32_skip_after"));
    const std::pair<const char*, torch::nn::Module*> networks[] = {{"gen.", players.generator.get()},
                                                                   {"dis.", players.discriminator.get()}};
    for (const auto& [prefix, network] : networks) {
      const auto state = models::state_of(*network);
      for (const auto& name : recorded.names("after." + step + "." + prefix)) {
        if (!is_double && std::ranges::find(skipped, name) != skipped.end()) continue;
        recorded.expect("after." + step + "." + prefix + name, state.at(name), tolerance);
      }
    }
    if (recorded.names("out.step" + step + ".param_abs_sums").empty() || !is_double) return;
    const auto state = models::state_of(*players.generator);
    std::vector<Tensor> sums;
    for (const auto& name : split(recorded.text("param_abs_sums_order")))
      sums.push_back(state.at(name).abs().sum());
    recorded.expect("out.step" + step + ".param_abs_sums", torch::stack(sums), tolerance);
  }
};

TEST_P(DrfgdStep, Text) {
  const Case recorded("drfgd_step_text", GetParam());
  const auto solo = collective::make_solo_communicator();
  const auto weight = recorded["param.hash.fc.weight"], bias = recorded["param.hash.fc.bias"];
  RecordedStep step{
      .recorded = recorded,
      .players = {.generator =
                      make_text_generator({.text_dim = 20, .hidden = 12, .bottleneck = 16, .branch = 24}, 5),
                  .discriminator =
                      models::make_text_discriminator(20, 10, 6, models::TextDiscriminator::kLeaky),
                  .encode = [&](const Tensor& t) { return torch::tanh(torch::linear(t, weight, bias)); },
                  .code_sum = {},
                  .train_labels = {},
                  .communicator = solo.get()},
      .batch = {.clean = recorded["in.x"], .adversarial = recorded["in.x_adv"], .labels = {}},
      .is_double = is_double()};
  step.expect_two_steps();
}

TEST_P(DrfgdStep, Image) {
  const Case recorded("drfgd_step_image", GetParam());
  const auto solo = collective::make_solo_communicator();
  const auto weight = recorded["param.hash.fc.weight"], bias = recorded["param.hash.fc.bias"];
  const auto upscaled = [&](const char* name) {
    return recorded[name].repeat_interleave(16, 2).repeat_interleave(16, 3);
  };
  const auto x = upscaled("in.coarse") + recorded["in.tile"].repeat({1, 1, 14, 14});
  RecordedStep step{
      .recorded = recorded,
      .players = {.generator = make_image_generator(*image_layout(224), 1, 5, true, solo.get()),
                  .discriminator =
                      models::make_image_discriminator({.n_stages = 5, .width = 2, .head_kernel = 7}),
                  .encode =
                      [&](const Tensor& n) {
                        return torch::tanh(torch::linear(torch::avg_pool2d(n, 16).flatten(1), weight, bias));
                      },
                  .code_sum = {},
                  .train_labels = {},
                  .communicator = solo.get()},
      .batch = {.clean = x, .adversarial = (x + upscaled("in.coarse_delta")).clamp(-1, 1), .labels = {}},
      .is_double = is_double()};
  step.expect_two_steps();
}

// ---- switches ----

TEST(DrfgdSwitches, EachTrainsAndLeavesOutWhatItTurnsOff) {
  const auto solo = collective::make_solo_communicator();
  const std::set<std::string> all = {"ali", "cls", "d", "dis", "div", "rec", "total"};
  const std::pair<Json, std::set<std::string>> cases[] = {
      {Json::object(), {}},
      {{{"use_div", false}}, {"div"}},
      {{{"use_cls", false}}, {"cls"}},
      {{{"use_div", false}, {"use_cls", false}}, {"div", "cls"}},
      {{{"lambda", 0}}, {"div", "cls"}},
      {{{"use_ali", false}}, {"ali"}},
      {{{"alpha", 0}}, {"ali"}},
      {{{"use_rec", false}}, {"rec"}},
      {{{"use_dis", false}}, {"dis", "d"}},
      {{{"div_mode", "separate"}, {"div_margin", 2}}, {}},
      {{{"cls_norm", false}}, {}},
      {{{"rec_pairs", 3}}, {}},
      {{{"gan", "lsgan"}}, {}},
      {{{"d_every", 3}}, {}},
      {{{"text_disc", "linear"}}, {}},
      {{{"text_output", "tanh"}}, {}},
      {{{"text_residual_init", "identity"}}, {}},
      {{{"skips", false}}, {}},
      {{{"n_train", 6}}, {}},
      {{{"tau", 0.5}, {"beta1", 0.9}}, {}},
  };
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    for (const auto& [change, missing] : cases) {
      SCOPED_TRACE(fmt::format("{} {}", name_of(modality), change.dump()));
      const auto trained = drfgd().train(with(tiny_drfgd(), change), tiny_training(modality, 12, solo.get()));
      ASSERT_TRUE(trained) << trained.error().message;
      std::set<std::string> wanted, seen;
      std::ranges::set_difference(all, missing, std::inserter(wanted, wanted.end()));
      for (const auto& [name, curve] : trained->curves) {
        seen.insert(name);
        EXPECT_THAT(curve, ::testing::Each(::testing::Truly([](float loss) { return std::isfinite(loss); })))
            << name;
      }
      EXPECT_EQ(seen, wanted);
      const auto parts = PipelineParts{.model = tiny_training(modality, 1, solo.get()).model,
                                       .shape = kTinyShape,
                                       .modality = modality,
                                       .weights = trained->weights};
      EXPECT_TRUE(drfgd().make(with(tiny_drfgd(), change), parts));
    }
  }
}

TEST(DrfgdSwitches, ChangeTheWeights) {
  const auto solo = collective::make_solo_communicator();
  const auto trained = [&](const Json& change, Modality modality) {
    return drfgd().train(with(tiny_drfgd(), change), tiny_training(modality, 12, solo.get()))->weights;
  };
  const auto equal = [](const Weights& a, const Weights& b) {
    return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
      return left.first == right.first && torch::equal(left.second, right.second);
    });
  };
  const Json changes[] = {{{"use_rec", false}},
                          {{"use_ali", false}},
                          {{"use_dis", false}},
                          {{"rec_pairs", 3}},
                          {{"gan", "lsgan"}},
                          {{"cls_norm", false}},
                          {{"div_mode", "separate"}},
                          {{"d_every", 2}},
                          {{"lr", 1e-4}},
                          {{"epochs_image", 2}, {"epochs_text", 2}}};
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const Weights reference = trained(Json::object(), modality);
    EXPECT_TRUE(equal(reference, trained(Json::object(), modality)))
        << "the same seed gives the same weights";
    for (const Json& change : changes) {
      EXPECT_FALSE(equal(reference, trained(change, modality))) << name_of(modality) << " " << change.dump();
    }
  }
}

// ---- what it does to its surroundings ----

TEST(DrfgdTraining, LeavesTheTargetAsItWasAndTellsEveryEpoch) {
  const auto solo = collective::make_solo_communicator();
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    DefenseTraining setup = tiny_training(modality, 20, solo.get());
    std::map<std::string, Tensor> before;
    for (const auto& [name, tensor] : models::state_of(*setup.model)) before[name] = tensor.clone();
    std::vector<std::int64_t> epochs;
    setup.on_epoch = [&](std::int64_t epoch, std::int64_t n_epochs, const models::Losses& losses,
                         double rate) {
      epochs.push_back(epoch);
      EXPECT_EQ(n_epochs, 3);
      EXPECT_GT(rate, 0);
      EXPECT_NEAR(losses.at("total"),
                  losses.at("div") + losses.at("cls") + losses.at("dis") + 10 * losses.at("ali") +
                      1000 * losses.at("rec"),
                  1e-3 * losses.at("total"));
    };
    const auto model = setup.model;
    const auto trained = drfgd().train(
        with(tiny_drfgd(), {{"epochs_image", 3}, {"epochs_text", 3}, {"lr", 0.01}}), std::move(setup));
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_THAT(epochs, ::testing::ElementsAre(1, 2, 3));
    EXPECT_EQ(trained->curves.at("rec").size(), 3U);
    EXPECT_LT(trained->curves.at("rec").back(), trained->curves.at("rec").front());
    EXPECT_FALSE(model->is_training());
    for (const auto& [name, tensor] : models::state_of(*model))
      EXPECT_TRUE(torch::equal(tensor, before.at(name))) << name;
    std::int64_t n_parameters = 0;
    for (const auto& [name, tensor] : trained->weights)
      n_parameters += name.find("running_") == std::string::npos ? tensor.numel() : 0;
    EXPECT_EQ(trained->n_parameters, n_parameters);
  }
}

TEST(DrfgdTraining, NamesEpochAndLossWhenItDiverges) {
  const auto solo = collective::make_solo_communicator();
  DefenseTraining setup = tiny_training(Modality::kText, 12, solo.get());
  models::NamedTensors kept;
  setup.keep_weights = [&](const models::NamedTensors& weights) -> Result<std::filesystem::path> {
    kept = weights;
    return "/here/weights";
  };
  // At this rate the first epochs are finite and a later one is not.
  const auto result =
      drfgd().train(with(tiny_drfgd(), {{"lr", 1}, {"beta", 1e30}, {"epochs_text", 40}}), std::move(setup));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
  EXPECT_THAT(
      result.error().message,
      MatchesRegex("drfgd, text network: loss '[a-z]+' became -?(nan|inf) in epoch [0-9]+, step [0-9]+, "
                   "at lr 1; a smaller learning rate may help; the weights after epoch [0-9]+ are kept in "
                   "/here/weights"));
  EXPECT_FALSE(kept.empty());
  for (const auto& [name, tensor] : kept) EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
}

TEST(DrfgdTraining, RefusesWhatItCannotTrainOn) {
  const auto solo = collective::make_solo_communicator();
  const auto message = [&](const Json& change, DefenseTraining setup) {
    const auto result = drfgd().train(with(tiny_drfgd(), change), std::move(setup));
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
    return result.error().message;
  };
  EXPECT_EQ(message({{"batch", 24}}, tiny_training(Modality::kText, 10, solo.get())),
            "drfgd: 10 training pairs do not fill one batch of 24; allowed: batch at most 10");
  EXPECT_THAT(message({{"use_ali", false}, {"beta", 0}, {"use_dis", false}},
                      tiny_training(Modality::kText, 10, solo.get())),
              HasSubstr("use_ali, use_rec and use_dis are all off"));
  DefenseTraining bare = tiny_training(Modality::kText, 10, solo.get());
  bare.crafted = Tensor();
  EXPECT_THAT(message(Json::object(), bare),
              HasSubstr("trains on adversarial examples of its 10 training inputs"));
  DefenseTraining features = tiny_training(Modality::kImage, 10, solo.get());
  features.shape.image_px = 0;
  features.shape.feature_dim = 4096;
  EXPECT_THAT(message(Json::object(), features),
              HasSubstr("regenerates pictures, and this data set holds image features (4096 each)"));
  EXPECT_THAT(message({{"widht", 3}}, tiny_training(Modality::kText, 10, solo.get())), HasSubstr("width"));
}

TEST(DrfgdPipeline, RefusesACheckpointOfAnotherNetwork) {
  const auto solo = collective::make_solo_communicator();
  auto trained = drfgd().train(tiny_drfgd(), tiny_training(Modality::kText, 12, solo.get()));
  ASSERT_TRUE(trained);
  const auto message = [&](const Json& change, const Weights& weights) {
    const auto model = tiny_training(Modality::kText, 1, solo.get()).model;
    const auto made = drfgd().make(with(tiny_drfgd(), change), {model, kTinyShape, Modality::kText, weights});
    EXPECT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kCorrupt);
    return made.error().message;
  };
  EXPECT_EQ(message({{"text_branch", 14}}, trained->weights),
            "tensor 'arf.fc.bias' of the drfgd checkpoint has shape [12]; the model needs [14]");
  EXPECT_THAT(message(Json::object(), {}), HasSubstr("the drfgd checkpoint has no tensor 'arf.fc.bias'"));
  trained->weights["extra"] = torch::zeros({1});
  EXPECT_THAT(message(Json::object(), trained->weights),
              HasSubstr("the drfgd checkpoint has a tensor 'extra' that the model does not know"));
}

TEST(DrfgdTextNet, IdentityStartPassesTheInputThrough) {
  torch::manual_seed(3);
  const auto net = make_text_generator(
      {.text_dim = 40, .hidden = 8, .bottleneck = 8, .branch = 8, .residual_init = ResidualInit::kIdentity},
      4);
  const auto t = torch::randint(0, 2, {6, 40}).to(torch::kFloat);
  EXPECT_LT((net->forward(t, Branches::kRobustOnly).output - t).abs().max().item<float>(), 0.2F);
}

// ---- one rank against two ----

Json ranks_config() { return with(tiny_drfgd(), {{"epochs_image", 2}, {"epochs_text", 2}, {"d_every", 2}}); }

/// Trains in double and writes weights and curves.
void train_and_save(collective::Communicator& communicator, const std::filesystem::path& file) {
  std::vector<Tensor> saved;
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const auto trained =
        drfgd().train(ranks_config(), tiny_training(modality, 15, &communicator, /*floating=*/true));
    ASSERT_TRUE(trained) << trained.error().message;
    for (const auto& [name, tensor] : trained->weights) saved.push_back(tensor);
    for (const auto& [name, curve] : trained->curves) {
      for (const float value : curve) saved.push_back(torch::tensor(value));
    }
  }
  torch::save(saved, file.string());
}

/// Runs in a process of its own, which the next test starts.
TEST(DrfgdRank, DISABLED_Trains) {
  const char* folder = std::getenv("GAUNTLET_TEST_FOLDER");
  const char* rank = std::getenv("GAUNTLET_TEST_RANK");
  ASSERT_TRUE(folder != nullptr && rank != nullptr) << "is started by DrfgdRanks.TwoTakeTheSameStepsAsOne";
  const std::filesystem::path root = folder;
  auto communicator =
      collective::make_gloo_communicator((root / "rendezvous").string(), std::atoi(rank), 2, 120);
  ASSERT_TRUE(communicator) << communicator.error().message;
  train_and_save(**communicator, root / (std::string("rank") + rank));
}

pid_t start_rank(const std::filesystem::path& folder, int rank) {
  std::vector<std::string> environment = {"GAUNTLET_TEST_FOLDER=" + folder.string(),
                                          "GAUNTLET_TEST_RANK=" + std::to_string(rank), "OMP_NUM_THREADS=1"};
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  std::vector<char*> variables;
  for (auto& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=DrfgdRank.DISABLED_Trains",
              disabled = "--gtest_also_run_disabled_tests";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, variables.data()), 0);
  return child;
}

TEST(DrfgdRanks, TwoTakeTheSameStepsAsOne) {
  const testing_support::TempFolder temporary;
  const std::filesystem::path& folder = temporary.path();
  const pid_t children[] = {start_rank(folder, 0), start_rank(folder, 1)};
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  const auto solo = collective::make_solo_communicator();
  train_and_save(*solo, folder / "alone");
  std::vector<Tensor> alone, first, second;
  torch::load(alone, (folder / "alone").string());
  torch::load(first, (folder / "rank0").string());
  torch::load(second, (folder / "rank1").string());
  ASSERT_EQ(alone.size(), first.size());
  ASSERT_EQ(alone.size(), second.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(torch::equal(first[i], second[i])) << "tensor " << i << " differs between ranks";
    EXPECT_TRUE(torch::allclose(alone[i], first[i], 1e-6, 1e-8))
        << "tensor " << i << " of one rank and of two: " << (alone[i] - first[i]).abs().max();
  }
}

}  // namespace
}  // namespace gauntlet::defenses
