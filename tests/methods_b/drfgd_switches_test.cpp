// What each switch of DRFGD does and what it leaves alone.
#include <gmock/gmock.h>

#include "core/defenses/detail/drfgd_pairs.hpp"
#include "core/defenses/detail/drfgd_trainer.hpp"
#include "core/models/losses.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

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
      {{{"branches", "arf"}}, {"div"}},
      {{{"branches", "arf"}, {"use_cls", false}}, {"div", "cls"}},
      {{{"gate", true}}, {}},
      {{{"ae_refresh", 1}, {"epochs_image", 2}, {"epochs_text", 2}, {"craft_steps", 2}}, {}},
      {{{"precision", "bf16"}}, {}},
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
  const Json changes[] = {{{"use_rec", false}},
                          {{"use_ali", false}},
                          {{"use_dis", false}},
                          {{"rec_pairs", 3}},
                          {{"gan", "lsgan"}},
                          {{"cls_norm", false}},
                          {{"div_mode", "separate"}},
                          {{"d_every", 2}},
                          {{"branches", "arf"}},
                          {{"frozen_generator", true}},
                          {{"precision", "bf16"}},
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

// ---- one branch ----

TEST(DrfgdBranches, OneBranchHasNoAvfAndItsClassifierLossIsTheMeanOfTwo) {
  for (const Modality modality : kModalities) {
    const TrainedDefense both = trained_with(Json::object(), modality);
    const TrainedDefense one = trained_with({{"branches", "arf"}}, modality);
    EXPECT_LT(one.n_parameters, both.n_parameters);
    for (const auto& [name, tensor] : one.weights) EXPECT_FALSE(name.starts_with("avf.")) << name;
    EXPECT_TRUE(
        std::ranges::any_of(both.weights, [](const auto& item) { return item.first.starts_with("avf."); }));
  }
  const auto solo = collective::make_solo_communicator();
  torch::manual_seed(7);
  const auto net = make_text_generator(
      {.text_dim = 10, .n_labels = 4, .hidden = 8, .bottleneck = 6, .branch = 12, .has_avf = false});
  const Tensor clean = torch::rand({3, 10}), adversarial = torch::rand({3, 10});
  const Tensor labels = torch::tensor({{1.F, 0.F, 0.F, 1.F}, {0.F, 1.F, 0.F, 0.F}, {1.F, 1.F, 1.F, 0.F}});
  const auto entropy = [&](const Tensor& inputs) {
    return multi_label_cross_entropy(net->forward(inputs, Pass::kEverything).logits_arf, labels, true).mean();
  };
  const double expected = (entropy(clean).item<double>() + entropy(adversarial).item<double>()) / 2;
  DrfgdConfig config;
  config.branches = "arf";
  config.use_dis = config.use_ali = false;
  DrfgdTrainer trainer(config, {.generator = net,
                                .discriminator = nullptr,
                                .encode = nullptr,
                                .code_sum = {},
                                .train_labels = {},
                                .communicator = solo.get()});
  const auto losses = trainer.step({clean, adversarial, labels, 3});
  EXPECT_NEAR(losses.at("cls").item<double>(), expected, 1e-6);
  EXPECT_FALSE(losses.contains("div"));
}

// ---- frozen generator ----

TEST(DrfgdFrozenGenerator, EncoderAndDecoderKeepEveryBitOfTheirFirstPart) {
  for (const Modality modality : kModalities) {
    SCOPED_TRACE(name_of(modality));
    const auto weights = [&](int epochs, const Json& change) {
      return trained_with(with({{"frozen_generator", true},
                                {"autoencoder_epochs", 2},
                                {"epochs_image", epochs},
                                {"epochs_text", epochs}},
                               change),
                          modality)
          .weights;
    };
    const Weights shorter = weights(1, Json::object()), longer = weights(3, Json::object());
    const Weights other_losses = weights(1, {{"alpha", 50}, {"use_cls", false}});
    std::set<std::string> moved;
    for (const auto& [name, tensor] : shorter) {
      if (is_autoencoder(name)) {
        EXPECT_TRUE(torch::equal(tensor, longer.at(name))) << name;
        EXPECT_TRUE(torch::equal(tensor, other_losses.at(name))) << name;
      } else if (!torch::equal(tensor, longer.at(name))) {
        moved.insert(name.substr(0, name.find('.')));
      }
    }
    EXPECT_THAT(moved, ::testing::ElementsAre("arf", "avf", "cls", "proj"));
    const Weights another = weights(1, {{"autoencoder_epochs", 1}});
    EXPECT_TRUE(std::ranges::any_of(shorter, [&](const auto& item) {
      return is_autoencoder(item.first) && !torch::equal(item.second, another.at(item.first));
    })) << "the first part trains the autoencoder";
  }
}

TEST(DrfgdFrozenGenerator, LearnsToReproduceFirstAndCountsBothParts) {
  const auto solo = collective::make_solo_communicator();
  for (const Modality modality : kModalities) {
    DefenseTraining setup = tiny_training(modality, 24, solo.get());
    std::vector<std::int64_t> epochs;
    setup.on_epoch = [&](std::int64_t epoch, std::int64_t in_all, const models::Losses& losses, double) {
      epochs.push_back(epoch);
      EXPECT_EQ(in_all, 4);
      EXPECT_EQ(losses.contains("autoencoder"), epoch <= 2);
      EXPECT_EQ(losses.contains("ali"), epoch > 2);
    };
    const auto trained = drfgd().train(
        with(tiny_drfgd(),
             {{"frozen_generator", true}, {"epochs_image", 2}, {"epochs_text", 2}, {"lr", 0.01}}),
        std::move(setup));
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_THAT(epochs, ::testing::ElementsAre(1, 2, 3, 4));
    const auto& curve = trained->curves.at("autoencoder");
    ASSERT_EQ(curve.size(), 2U);
    EXPECT_LT(curve.back(), curve.front());
    EXPECT_EQ(trained->curves.at("rec").size(), 2U);
  }
}

// ---- twins made again ----

TEST(DrfgdRefresh, BeginsAfterTheGivenEpochsAndChangesWhatIsLearnt) {
  for (const Modality modality : kModalities) {
    const auto weights = [&](int refresh, int epochs) {
      return trained_with({{"ae_refresh", refresh},
                           {"epochs_image", epochs},
                           {"epochs_text", epochs},
                           {"craft_steps", 2}},
                          modality)
          .weights;
    };
    EXPECT_TRUE(equal(weights(1, 1), weights(0, 1))) << "the first epoch uses the twins given";
    EXPECT_TRUE(equal(weights(2, 2), weights(0, 2)));
    EXPECT_FALSE(equal(weights(2, 3), weights(0, 3)));
    EXPECT_FALSE(equal(weights(1, 3), weights(2, 3)));
    EXPECT_TRUE(equal(weights(1, 3), weights(1, 3))) << "the same seed gives the same twins";
  }
}

class DrfgdTwins : public ::testing::TestWithParam<Modality> {
 protected:
  DrfgdTwins() : setup_(tiny_training(GetParam(), 12, solo_.get(), /*floating=*/true)) {
    config_.craft_epsilon_image = config_.craft_epsilon_text = 0.05;
    config_.craft_step_image = config_.craft_step_text = 0.02;
    config_.craft_steps = 3;
  }
  [[nodiscard]] TrainingPairs pairs() const { return {setup_, config_, torch::kDouble}; }
  /// Perturbations of the first `n` rows, in [0,1] units.
  [[nodiscard]] static Tensor perturbations(const TrainingPairs& pairs, std::int64_t n) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    const DrfgdBatch batch = pairs.batch(rows, n);
    return (batch.adversarial - batch.clean) / (GetParam() == Modality::kImage ? 2 : 1);
  }

  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  DefenseTraining setup_;
  DrfgdConfig config_;
};
INSTANTIATE_TEST_SUITE_P(Sides, DrfgdTwins, ::testing::ValuesIn(kModalities),
                         [](const auto& one) { return std::string(name_of(one.param)); });

TEST_P(DrfgdTwins, StayInTheBudgetAndTheRange) {
  TrainingPairs made = pairs();
  ASSERT_TRUE(made.refresh(1));
  const Tensor delta = perturbations(made, 12);
  EXPECT_LE(delta.abs().max().item<double>(), 0.05 * (1 + 0.5 / 127));  // rounded to 127 steps
  EXPECT_GT(delta.abs().max().item<double>(), 0.04);
  const Tensor adversarial = made.batch(std::vector<std::int64_t>{0, 5, 11}, 3).adversarial;
  EXPECT_GE(adversarial.min().item<double>(), GetParam() == Modality::kImage ? -1 : 0);
  EXPECT_LE(adversarial.max().item<double>(), 1);
}

TEST_P(DrfgdTwins, DependOnTheirRowAndTheNumberOnly) {
  TrainingPairs first = pairs(), second = pairs();
  ASSERT_TRUE(first.refresh(1));
  const Tensor once = perturbations(first, 12);
  ASSERT_TRUE(second.refresh(2));
  EXPECT_FALSE(torch::equal(once, perturbations(second, 12)));
  ASSERT_TRUE(second.refresh(1));
  EXPECT_TRUE(torch::equal(once, perturbations(second, 12)));
  config_.n_train = 5;
  TrainingPairs fewer = pairs();
  ASSERT_TRUE(fewer.refresh(1));
  EXPECT_EQ(fewer.size(), 5);
  EXPECT_TRUE(torch::allclose(once.narrow(0, 0, 5), perturbations(fewer, 5), 0, 1e-9));
}

TEST_P(DrfgdTwins, LeadTheirCodesAwayFromRelevantItems) {
  const auto attack_loss = [&](const Tensor& delta) {
    const models::RepelAttract objective(
        (setup_.train_codes_image + setup_.train_codes_text).to(torch::kDouble),
        models::relevance_mask(setup_.labels, setup_.train_labels).logical_not(),
        models::relevance_mask(setup_.labels, setup_.train_labels), config_.craft_tau);
    return objective.logsumexp(setup_.model->encode(GetParam(), setup_.inputs + delta)).sum().item<double>();
  };
  config_.craft_steps = 20;
  TrainingPairs made = pairs();
  ASSERT_TRUE(made.refresh(1));
  EXPECT_LT(attack_loss(perturbations(made, 12)), attack_loss(torch::zeros_like(setup_.inputs)));
}

}  // namespace
}  // namespace gauntlet::defenses
