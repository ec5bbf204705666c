// The choices that every defense with a robust copy of the target has. The papers' own values are for
// single-modality hashing; how their authors or later ones moved them to two modalities is published for SAAT
// only.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/fields.hpp"

namespace gauntlet::defenses {

struct RobustConfig {
  double epsilon_image = 4.0 / 255, epsilon_text = 0.05;
  std::int64_t pgd_iters = 7;
  std::string ben_loss = "pairwise";
  double ben_weight = 1;
  std::int64_t n_train = 0;
  std::int64_t at_epochs = 50;
  std::int64_t batch_size = 128;
  std::string at_optimiser = "adam";
  double at_lr = 1e-4, at_lr_backbone = 1e-5;
  double at_beta1 = 0.9, at_beta2 = 0.999, at_momentum = 0, at_weight_decay = 0;
  double first_milestone = 0.5, second_milestone = 0.75;
  bool freeze_backbone = false;

  static void fields(auto& self, auto& visit) {
    visit("epsilon_image", self.epsilon_image,
          {.doc = "L-infinity budget of the training examples on pictures in [0,1]: 4/255 is the common "
                  "budget of the "
                  "released attacks on [-1,1], 8/255 the papers' number read literally.",
           .min = 0,
           .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of the training examples on texts; 0.05, the budget of pgd.",
           .min = 0,
           .max = 1});
    visit(
        "ben_loss", self.ben_loss,
        {.doc =
             "Loss on clean inputs: pairwise similarity to the codes of the training set (a mean, so of the "
             "size of "
             "the robust terms), or the target's own objective, a sum over the batch that drowns those terms "
             "unless ben_weight is small.",
         .choices = {"pairwise", "target"}});
    visit("ben_weight", self.ben_weight,
          {.doc = "Weight of the loss on clean inputs.", .min = 0, .max = 1e6});
    visit("n_train", self.n_train, {.doc = "Training pairs used, the first ones; 0 = all.", .min = 0});
    visit("at_epochs", self.at_epochs,
          {.doc = "Passes over the training pairs; the papers have 20 to 100, Picto a few, for two cores.",
           .min = 1,
           .max = 100000});
    visit("batch_size", self.batch_size,
          {.doc = "Least number of pairs in a global batch; an epoch is cut into equal batches of at least "
                  "this size.",
           .min = 1,
           .max = 65536});
    visit("at_optimiser", self.at_optimiser,
          {.doc = "adam, or sgd as the release of SAAT; sgd at its rate can upset batch normalisation before "
                  "a code.",
           .choices = {"adam", "sgd"}});
    visit("at_lr", self.at_lr,
          {.doc = "Learning rate outside the backbone; 1e-4 as ATRDH's. Picto has 1e-3, for its few steps.",
           .min = 0,
           .max = 10});
    visit("at_lr_backbone", self.at_lr_backbone,
          {.doc = "Learning rate of the backbone; a tenth, because its weights come from a larger data set. "
                  "Picto's trunk is trained from nothing and has the rate of the rest.",
           .min = 0,
           .max = 10});
    visit("at_beta1", self.at_beta1, {.doc = "Adam's first decay.", .min = 0, .max = 0.9999});
    visit("at_beta2", self.at_beta2,
          {.doc = "Adam's second decay; 0.999, Adam's usual one, in all releases.",
           .min = 0,
           .max = 0.9999999});
    visit("at_momentum", self.at_momentum, {.doc = "Momentum of sgd.", .min = 0, .max = 0.9999});
    visit("at_weight_decay", self.at_weight_decay, {.doc = "L2 added to the gradients.", .min = 0, .max = 1});
    visit("first_milestone", self.first_milestone,
          {.doc = "Share of the steps after which the rates fall to a tenth.", .min = 0, .max = 1});
    visit("second_milestone", self.second_milestone,
          {.doc = "Share of the steps after which they fall to a hundredth.", .min = 0, .max = 1});
    visit("freeze_backbone", self.freeze_backbone,
          {.doc =
               "Keep the backbone as it is; off, because a head alone gains little robustness on pictures."});
  }
  /// `pgd_iters`, for the methods whose training examples take more than one step.
  static void iterations(auto& self, auto& visit) {
    visit("pgd_iters", self.pgd_iters,
          {.doc = "Steps of the inner attack, of a quarter of the budget each; 7 in the papers, 5 on Picto, "
                  "for two cores.",
           .min = 1,
           .max = 1000});
  }
};

}  // namespace gauntlet::defenses
