// Every choice DRFGD offers; docs/drfgd.md gives the reasons for the defaults.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/fields.hpp"
#include "core/defenses/detail/drfgd_losses.hpp"
#include "core/models/precision.hpp"

namespace gauntlet::defenses {

struct DrfgdConfig {
  std::int64_t width = 32;
  bool skips = true;
  std::string branches = "both";
  bool frozen_generator = false;
  std::int64_t autoencoder_epochs = 0;
  bool gate = false;
  std::int64_t text_hidden = 1024, text_bottleneck = 4096, text_branch = 8192;
  std::string text_output = "relu";
  std::string text_residual_init = "default";
  std::int64_t disc_width = 64;
  std::int64_t text_disc_hidden = 512, text_disc_middle = 128;
  std::string text_disc = "leaky";

  double alpha = 10, beta = 1000, lambda = 1, tau = 0.05;
  bool use_div = true, use_cls = true, use_ali = true, use_rec = true, use_dis = true;
  std::string div_mode = "literal";
  double div_margin = 1;
  bool cls_norm = true;
  std::int64_t rec_pairs = 2;
  std::string gan = "bce";
  std::int64_t d_every = 1;

  std::int64_t n_train = 0;
  std::int64_t epochs_image = 50, epochs_text = 50;
  std::int64_t batch = 24;
  double lr = 1e-3, beta1 = 0.5, beta2 = 0.999;

  std::int64_t craft_steps = 20;
  double craft_epsilon_image = 4.0 / 255, craft_step_image = 0;
  double craft_epsilon_text = 0.05, craft_step_text = 0.006;
  double craft_tau = 0.05;
  std::int64_t ae_refresh = 0;
  models::PrecisionConfig precision;

  [[nodiscard]] bool has_avf() const { return branches == "both"; }
  /// A term with weight 0 is the same as a term that is switched off, and cheaper.
  [[nodiscard]] bool has_divergence() const { return use_div && lambda > 0 && has_avf(); }
  [[nodiscard]] bool has_classifier() const { return use_cls && lambda > 0; }
  [[nodiscard]] AdversarialGame game() const {
    return gan == "bce" ? AdversarialGame::kBce : AdversarialGame::kLeastSquares;
  }

  static void fields(auto& self, auto& visit) {
    networks(self, visit);
    losses(self, visit);
    training(self, visit);
  }

 private:
  static void networks(auto& self, auto& visit) {
    visit("width", self.width,
          {.doc = "Channels of the first picture stage; every further one doubles them.",
           .min = 1,
           .max = 256});
    visit("skips", self.skips,
          {.doc = "Ways around the bottleneck: U-Net skips, input before the last layer."});
    visit("branches", self.branches,
          {.doc = "Ablation: both, or arf: no AVF branch. Then L_Div is absent and L_Cls the mean over the "
                  "two ARF "
                  "terms.",
           .choices = {"both", "arf"}});
    visit("frozen_generator", self.frozen_generator,
          {.doc = "Ablation: encoder and decoder first learn, with the ARF branch between them, to reproduce "
                  "clean "
                  "inputs (L_Rec alone); then they stay as they are, and only the branches, the classifier "
                  "and the "
                  "projection train."});
    visit("autoencoder_epochs", self.autoencoder_epochs,
          {.doc =
               "frozen_generator: epochs of that first part; 0 means as many as epochs_image or epochs_text.",
           .min = 0,
           .max = 10000});
    visit("gate", self.gate,
          {.doc =
               "Regenerate only queries that the discriminator takes for adversarial or generated ones (more "
               "likely than not); others reach the target unchanged. Not in the paper, so off."});
    visit("text_hidden", self.text_hidden,
          {.doc = "Width of the text network's outer layers.", .min = 1, .max = 65536});
    visit("text_bottleneck", self.text_bottleneck,
          {.doc = "Width of the text bottleneck f.", .min = 1, .max = 65536});
    visit("text_branch", self.text_branch, {.doc = "Width of the text features z.", .min = 1, .max = 65536});
    visit("text_output", self.text_output,
          {.doc = "Last function of the text network: relu for word vectors in [0,1], tanh for features in "
                  "[-1,1].",
           .choices = {"relu", "tanh"}});
    visit(
        "text_residual_init", self.text_residual_init,
        {.doc =
             "Start of the text network's last layer; identity ([I | 0] + 0.1 default) keeps its ReLU alive.",
         .choices = {"default", "identity"}});
    visit("disc_width", self.disc_width,
          {.doc = "Channels of the picture discriminator's first stage.", .min = 1, .max = 256});
    visit("text_disc_hidden", self.text_disc_hidden,
          {.doc = "First layer of the text discriminator.", .min = 1, .max = 65536});
    visit("text_disc_middle", self.text_disc_middle,
          {.doc = "Second layer of the text discriminator.", .min = 1, .max = 65536});
    visit("text_disc", self.text_disc,
          {.doc = "Between the text discriminator's layers: LeakyReLU 0.2, or nothing (as a sibling method).",
           .choices = {"leaky", "linear"}});
  }

  static void losses(auto& self, auto& visit) {
    visit("alpha", self.alpha, {.doc = "Weight of L_Ali; the paper's range is 1 to 50.", .min = 0});
    visit("beta", self.beta, {.doc = "Weight of L_Rec; the paper's range is 400 to 2000.", .min = 0});
    visit("lambda", self.lambda, {.doc = "Weight of L_R = L_Div + L_Cls.", .min = 0});
    visit("tau", self.tau, {.doc = "Temperature of L_Ali.", .min = 1e-3, .max = 10});
    visit("use_div", self.use_div, {.doc = "Ablation: L_Div."});
    visit("use_cls", self.use_cls, {.doc = "Ablation: L_Cls."});
    visit("use_ali", self.use_ali, {.doc = "Ablation: L_Ali."});
    visit("use_rec", self.use_rec, {.doc = "Ablation: L_Rec."});
    visit("use_dis", self.use_dis, {.doc = "Ablation: L_Dis and the discriminator."});
    visit("div_mode", self.div_mode,
          {.doc = "literal: Eq. 4 as printed (pulls the branches together); separate: hinge that parts them.",
           .choices = {"literal", "separate"}});
    visit("div_margin", self.div_margin, {.doc = "Margin of div_mode separate.", .min = 0, .max = 100});
    visit("cls_norm", self.cls_norm,
          {.doc = "Divide label targets by their number; off: as printed in Eqs. 5 and 6."});
    visit(
        "rec_pairs", self.rec_pairs,
        {.doc = "2: both outputs against the clean input; 3: also against each other.", .min = 2, .max = 3});
    visit("gan", self.gan,
          {.doc = "bce: cross entropy, real = 1; lsgan: squares on sigmoids, real = 0.",
           .choices = {"bce", "lsgan"}});
    visit("d_every", self.d_every, {.doc = "Generator steps per discriminator step.", .min = 1, .max = 1000});
  }

  static void training(auto& self, auto& visit) {
    visit("n_train", self.n_train, {.doc = "Training pairs used, the first ones; 0 = all.", .min = 0});
    visit("epochs_image", self.epochs_image,
          {.doc = "Epochs of the picture network.", .min = 1, .max = 10000});
    visit("epochs_text", self.epochs_text, {.doc = "Epochs of the text network.", .min = 1, .max = 10000});
    visit("batch", self.batch,
          {.doc = "Pairs (clean, adversarial) of the global batch; a last partial one is dropped.",
           .min = 2,
           .max = 65536});
    visit("lr", self.lr, {.doc = "Adam's step size of both players, constant.", .min = 0, .max = 1});
    visit("beta1", self.beta1, {.doc = "Adam's first decay.", .min = 0, .max = 0.9999});
    visit("beta2", self.beta2, {.doc = "Adam's second decay.", .min = 0, .max = 0.9999999});
    visit("craft_steps", self.craft_steps,
          {.doc = "PGD steps of the training examples.", .min = 1, .max = 10000});
    visit("craft_epsilon_image", self.craft_epsilon_image,
          {.doc = "Their L-infinity radius on pictures in [0,1]; the released code's 8/255 on [-1,1] is "
                  "4/255 here.",
           .min = 0,
           .max = 1});
    visit("craft_step_image", self.craft_step_image,
          {.doc = "Their step on pictures; 0 means 3/8 of the radius.", .min = 0, .max = 1});
    visit("craft_epsilon_text", self.craft_epsilon_text,
          {.doc = "Their L-infinity radius on texts.", .min = 0, .max = 1});
    visit("craft_step_text", self.craft_step_text, {.doc = "Their step on texts.", .min = 0, .max = 1});
    visit("craft_tau", self.craft_tau,
          {.doc = "Temperature of the loss they follow.", .min = 1e-3, .max = 100});
    visit(
        "ae_refresh", self.ae_refresh,
        {.doc =
             "Epochs after which the adversarial twins are made again from fresh random starts; 0: once. The "
             "target is frozen, so new ones differ by their start only, and each time costs as much as the "
             "craft job.",
         .min = 0,
         .max = 10000});
    models::PrecisionConfig::fields(self.precision, visit);
  }
};

}  // namespace gauntlet::defenses
