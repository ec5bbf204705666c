// Options of EQB2A. Defaults are those of the released code; what it leaves open or gets wrong is a switch.
#pragma once

#include <cstdint>

#include "core/models/backbone.hpp"
#include "core/models/precision.hpp"

namespace gauntlet::attacks::eqb2a {

struct Config {
  // Access to the target.
  std::int64_t n_queries = 2000;
  bool redraw = false;
  std::int64_t near = 5;
  std::int64_t spread = 5;
  // Knockoffs.
  models::BackboneConfig backbone;
  bool backbone_batch_statistics = true;
  std::int64_t hidden = 1024;
  double dropout = 0.3;
  std::int64_t epochs_knockoff = 20;
  double lr_text = 1e-3;
  double lr_image = 1e-4;
  double knockoff_rank_margin = 0.1;
  double knockoff_rank_weight = 1;
  double knockoff_balance_weight = 0.01;
  double knockoff_quantisation_weight = 0.001;
  // Perturbation generator and supervisor.
  std::int64_t pg_width = 8;
  std::int64_t ps_fc1 = 4096;
  std::int64_t ps_fc2 = 1024;
  std::int64_t ps_fc3 = 512;
  std::int64_t epochs_perturbation = 20;
  double lr_perturbation = 1e-4;
  double perturbation_alienation_margin = 0.5;
  double perturbation_rank_margin = 0.1;
  double perturbation_alienation_weight = 1;
  double perturbation_rank_weight = 1;
  double perturbation_quantisation_weight = 0.001;
  // Image generator and discriminator.
  std::int64_t width = 64;
  std::int64_t disc_width = 64;
  std::int64_t epochs_generator = 100;
  double lr_generator = 1e-4;
  double alienation_margin = 0.8;
  double alienation_weight = 1;
  double rec_weight = 20;
  double gan_weight = 1;
  double supervisor_weight = 0;
  std::int64_t d_every = 3;
  bool restore = true;
  // All stages.
  std::int64_t batch_size = 24;
  double beta1 = 0.5;
  double beta2 = 0.999;
  models::PrecisionConfig precision;

  static void fields(auto& self, auto& visit) {
    access_fields(self, visit);
    knockoff_fields(self, visit);
    perturbation_fields(self, visit);
    generator_fields(self, visit);
    visit("batch_size", self.batch_size, {.doc = "Rows of a batch in every stage.", .min = 2, .max = 65536});
    visit("beta1", self.beta1, {.doc = "First Adam decay of every network.", .min = 0, .max = 0.9999});
    visit("beta2", self.beta2, {.doc = "Second Adam decay of every network.", .min = 0, .max = 0.999999});
    models::PrecisionConfig::fields(self.precision, visit);
  }

 private:
  static void access_fields(auto& self, auto& visit) {
    visit("n_queries", self.n_queries,
          {.doc = "Training pictures the target is asked with, and as many training texts; at most the whole "
                  "training "
                  "set.",
           .min = 1,
           .max = 1000000});
    visit("redraw", self.redraw,
          {.doc = "Ask with fresh pictures for each later stage, as released, which doubles the number of "
                  "queries; "
                  "false uses the answers of the first stage again."});
    visit("near", self.near, {.doc = "Nearest items kept of a ranked list.", .min = 1, .max = 1000});
    visit("spread", self.spread,
          {.doc = "Items kept at even distances from the first to the last of a ranked list; every two of "
                  "them are "
                  "compared.",
           .min = 2,
           .max = 100});
  }
  static void knockoff_fields(auto& self, auto& visit) {
    models::BackboneConfig::fields(self.backbone, visit);
    visit("backbone_batch_statistics", self.backbone_batch_statistics,
          {.doc = "While the knockoff learns, batch norms of a frozen backbone use the batch's statistics "
                  "and go on "
                  "collecting them, as released; false holds them. A backbone that learns always does."});
    visit("hidden", self.hidden, {.doc = "Width of the knockoffs' hidden layers.", .min = 4, .max = 16384});
    visit("dropout", self.dropout,
          {.doc = "Dropout in front of the knockoffs' last layer.", .min = 0, .max = 0.99});
    visit("epochs_knockoff", self.epochs_knockoff,
          {.doc = "Passes over the compared pairs of all lists.", .min = 1, .max = 100000});
    visit("lr_text", self.lr_text, {.doc = "Learning rate of the text knockoff (Adam).", .min = 0, .max = 1});
    visit("lr_image", self.lr_image,
          {.doc = "Learning rate of the image knockoff: its head, and its backbone unless that is frozen.",
           .min = 0,
           .max = 1});
    visit(
        "knockoff_rank_margin", self.knockoff_rank_margin,
        {.doc = "Distance, in parts of the code length, asked for between two items that are one step apart.",
         .min = 0,
         .max = 1});
    visit("knockoff_rank_weight", self.knockoff_rank_weight,
          {.doc = "Weight of the order of the target's lists.", .min = 0, .max = 1e6});
    visit("knockoff_balance_weight", self.knockoff_balance_weight,
          {.doc = "Weight of the bit balance of the queries' codes.", .min = 0, .max = 1e6});
    visit("knockoff_quantisation_weight", self.knockoff_quantisation_weight,
          {.doc = "Weight of the quantisation error of the queries' codes.", .min = 0, .max = 1e6});
  }
  static void perturbation_fields(auto& self, auto& visit) {
    visit("pg_width", self.pg_width,
          {.doc = "Channels of the perturbation generator's first layer.", .min = 1, .max = 1024});
    visit("ps_fc1", self.ps_fc1,
          {.doc = "Width of the supervisor's first full layer.", .min = 1, .max = 65536});
    visit("ps_fc2", self.ps_fc2, {.doc = "Width of its second.", .min = 1, .max = 65536});
    visit("ps_fc3", self.ps_fc3, {.doc = "Width of its third.", .min = 1, .max = 65536});
    visit("epochs_perturbation", self.epochs_perturbation,
          {.doc = "Passes over the compared pairs of the image lists.", .min = 1, .max = 100000});
    visit("lr_perturbation", self.lr_perturbation,
          {.doc = "Learning rate of perturbation generator and supervisor (Adam).", .min = 0, .max = 1});
    visit("perturbation_alienation_margin", self.perturbation_alienation_margin,
          {.doc = "Distance from the nearest texts the supervisor's code is pushed to.", .min = 0, .max = 1});
    visit("perturbation_rank_margin", self.perturbation_rank_margin,
          {.doc = "Distance asked for between two items in reversed order.", .min = 0, .max = 1});
    visit("perturbation_alienation_weight", self.perturbation_alienation_weight,
          {.doc = "Weight of the push away from the nearest texts.", .min = 0, .max = 1e6});
    visit("perturbation_rank_weight", self.perturbation_rank_weight,
          {.doc = "Weight of the reversed order.", .min = 0, .max = 1e6});
    visit("perturbation_quantisation_weight", self.perturbation_quantisation_weight,
          {.doc = "Weight of the quantisation error of the supervisor's code.", .min = 0, .max = 1e6});
  }
  static void generator_fields(auto& self, auto& visit) {
    visit("width", self.width,
          {.doc = "Channels of the image generator's first layer.", .min = 1, .max = 1024});
    visit("disc_width", self.disc_width,
          {.doc = "Channels of the discriminator's first stage.", .min = 1, .max = 1024});
    visit("epochs_generator", self.epochs_generator,
          {.doc = "Passes over the queried pictures.", .min = 1, .max = 100000});
    visit("lr_generator", self.lr_generator,
          {.doc = "Learning rate of image generator and discriminator (Adam).", .min = 0, .max = 1});
    visit("alienation_margin", self.alienation_margin,
          {.doc = "Distance from the nearest texts an adversarial picture's code is pushed to.",
           .min = 0,
           .max = 1});
    visit("alienation_weight", self.alienation_weight, {.doc = "Weight of that push.", .min = 0, .max = 1e6});
    visit("rec_weight", self.rec_weight,
          {.doc = "Weight of the squared error against the clean picture, on the [-1,1] scale: the only "
                  "bound on the "
                  "perturbation.",
           .min = 0,
           .max = 1e6});
    visit("gan_weight", self.gan_weight,
          {.doc = "Weight of fooling the discriminator.", .min = 0, .max = 1e6});
    visit(
        "supervisor_weight", self.supervisor_weight,
        {.doc = "Weight of agreeing with the supervisor's code; switched off in the released code (5 there).",
         .min = 0,
         .max = 1e6});
    visit("d_every", self.d_every,
          {.doc = "Generator steps per discriminator step, counted within an epoch.",
           .min = 1,
           .max = 1000000});
    visit("restore", self.restore,
          {.doc = "Bring generated pictures back to pixel values before the image knockoff sees them; the "
                  "released "
                  "code feeds it [-1,1] where it has learned 0..255."});
  }
};

}  // namespace gauntlet::attacks::eqb2a
