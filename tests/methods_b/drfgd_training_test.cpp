// DRFGD's training: what it does to its surroundings, what it refuses, one rank against two.
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

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
  setup.on_epoch = [labels = setup.labels](std::int64_t epoch, std::int64_t, const models::Losses&, double) {
    if (epoch == 2) labels.fill_(std::numeric_limits<double>::quiet_NaN());
  };
  const auto result =
      drfgd().train(with(tiny_drfgd(), {{"lr", 0.001}, {"epochs_text", 4}}), std::move(setup));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
  EXPECT_EQ(result.error().message,
            "drfgd, text network: loss 'cls' became nan in epoch 3, step 1, at lr 0.001; a smaller learning "
            "rate may help; the weights after epoch 2 are kept in /here/weights");
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
  const auto net = make_text_generator({.text_dim = 40,
                                        .n_labels = 4,
                                        .hidden = 8,
                                        .bottleneck = 8,
                                        .branch = 8,
                                        .residual_init = ResidualInit::kIdentity});
  const auto t = torch::randint(0, 2, {6, 40}).to(torch::kFloat);
  EXPECT_LT((net->forward(t, Pass::kRegenerate).output - t).abs().max().item<float>(), 0.2F);
}

// ---- one rank against two ----

/// As published, with twins made again, and with a frozen generator.
std::vector<Json> ranks_configs() {
  const Json base = with(tiny_drfgd(), {{"epochs_image", 2}, {"epochs_text", 2}, {"d_every", 2}});
  return {base, with(base, {{"ae_refresh", 1}, {"craft_steps", 3}}),
          with(base, {{"frozen_generator", true}, {"autoencoder_epochs", 1}})};
}

/// Trains in double and writes weights and curves.
void train_and_save(collective::Communicator& communicator, const std::filesystem::path& file) {
  std::vector<Tensor> saved;
  for (const Json& config : ranks_configs()) {
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      const auto trained =
          drfgd().train(config, tiny_training(modality, 15, &communicator, /*floating=*/true));
      ASSERT_TRUE(trained) << trained.error().message;
      for (const auto& [name, tensor] : trained->weights) saved.push_back(tensor);
      for (const auto& [name, curve] : trained->curves) {
        for (const float value : curve) saved.push_back(torch::tensor(value));
      }
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
