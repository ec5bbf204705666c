// Every choice TA-DCH offers, with the reason for its default.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/fields.hpp"
#include "core/models/precision.hpp"

namespace gauntlet::attacks {

struct TaDchConfig {
  std::string targets = "uniform";
  double bound_image = 0, bound_text = 0;

  std::int64_t hidden = 4096, map_width = 16;
  std::int64_t width = 64, translator_width = 48;
  std::int64_t text_map_hidden = 1024, text_hidden = 4096;
  std::string text_start = "default";
  std::int64_t disc_width = 64, text_disc_hidden = 512, text_disc_middle = 128;

  std::int64_t n_train = 0;
  std::int64_t prototype_epochs = 50, prototype_batch_size = 64;
  double prototype_lr = 1e-4;
  double prototype_class_weight = 1, prototype_similarity_weight = 5, prototype_quantisation_weight = 1e-3;
  std::int64_t epochs_image = 50, epochs_text = 50, batch_size = 24;
  double lr = 1e-4, beta1 = 0.5, beta2 = 0.999, adam_eps = 1e-8;
  double code_weight = 5, gan_weight = 1, rec_weight = 150, rec_weight_text = 150;
  std::int64_t d_every = 3;
  models::PrecisionConfig precision;

  static void fields(auto& self, auto& visit) {
    aims(self, visit);
    networks(self, visit);
    prototype_training(self, visit);
    generator_training(self, visit);
    models::PrecisionConfig::fields(self.precision, visit);
  }

 private:
  static void aims(auto& self, auto& visit) {
    visit("targets", self.targets,
          {.doc = "Which item of the retrieval set a query is to be taken for. uniform: any, even one that "
                  "shares labels "
                  "with the query, as released; disjoint: one that shares none; distinct: any label vector, "
                  "each as "
                  "likely.",
           .choices = {"uniform", "disjoint", "distinct"}});
    visit("bound_image", self.bound_image,
          {.doc = "Largest change of a picture value in [0,1] units; 0 = none, which is the method.",
           .min = 0,
           .max = 1});
    visit("bound_text", self.bound_text,
          {.doc = "Largest change of a text value; 0 = none.", .min = 0, .max = 2});
  }

  static void networks(auto& self, auto& visit) {
    visit("hidden", self.hidden,
          {.doc = "Fully connected layers in front of PrototypeNet's maps.", .min = 1, .max = 65536});
    visit(
        "map_width", self.map_width,
        {.doc = "Channels of PrototypeNet's first map; its feature map has 4 times, its last one 16 times as "
                "many. "
                "Pictures of px pixels, a multiple of 16, have feature maps of side px/16 + 2; where halving "
                "that would leave one place (below 96 px), the fusing convolution has kernel 3, stride 1.",
         .min = 1,
         .max = 1024});
    visit("width", self.width,
          {.doc = "Channels of the picture generator's first stage; the second and third have 2 and 4 times "
                  "as many.",
           .min = 1,
           .max = 1024});
    visit("translator_width", self.translator_width,
          {.doc = "Channels of the translator's first stage, which brings the target's feature map to the "
                  "picture's size; the second has a quarter, the last one.",
           .min = 4,
           .max = 1024});
    visit(
        "text_map_hidden", self.text_map_hidden,
        {.doc = "Text generator (an extension, not published): layer between the feature map and the words.",
         .min = 1,
         .max = 65536});
    visit("text_hidden", self.text_hidden,
          {.doc = "Text generator: width of its two residual blocks.", .min = 1, .max = 65536});
    visit("text_start", self.text_start,
          {.doc = "Text generator: start of the last layer; identity (the input, through a steep sigmoid, + "
                  "0.1 default) "
                  "spares the many steps it takes to learn to copy.",
           .choices = {"default", "identity"}});
    visit("disc_width", self.disc_width,
          {.doc = "Channels of the picture discriminator's first stage.", .min = 1, .max = 1024});
    visit("text_disc_hidden", self.text_disc_hidden,
          {.doc = "First layer of the text discriminator.", .min = 1, .max = 65536});
    visit("text_disc_middle", self.text_disc_middle,
          {.doc = "Second layer of the text discriminator.", .min = 1, .max = 65536});
  }

  static void prototype_training(auto& self, auto& visit) {
    visit("n_train", self.n_train, {.doc = "Training pairs used, the first ones; 0 = all.", .min = 0});
    visit(
        "prototype_epochs", self.prototype_epochs,
        {.doc =
             "Epochs of stage 1 (PrototypeNet). The learning rate falls to a tenth at half of its steps; the "
             "release's second fall, at three quarters, never happens.",
         .min = 1,
         .max = 100000});
    visit("prototype_batch_size", self.prototype_batch_size,
          {.doc = "Training pairs per step of stage 1.", .min = 2, .max = 65536});
    visit("prototype_lr", self.prototype_lr, {.doc = "Adam's step size in stage 1.", .min = 0, .max = 1});
    visit("prototype_class_weight", self.prototype_class_weight,
          {.doc = "Stage 1: weight of the label error.", .min = 0});
    visit("prototype_similarity_weight", self.prototype_similarity_weight,
          {.doc = "Stage 1: weight of the likelihood of shared labels.", .min = 0});
    visit("prototype_quantisation_weight", self.prototype_quantisation_weight,
          {.doc = "Stage 1: weight of the distance from a binary code.", .min = 0});
  }

  static void generator_training(auto& self, auto& visit) {
    visit("epochs_image", self.epochs_image,
          {.doc = "Epochs of stage 2 (generator, discriminator) on pictures.", .min = 1, .max = 100000});
    visit("epochs_text", self.epochs_text, {.doc = "Epochs of stage 2 on texts.", .min = 1, .max = 100000});
    visit("batch_size", self.batch_size, {.doc = "Inputs per step of stage 2.", .min = 1, .max = 65536});
    visit("lr", self.lr,
          {.doc = "Adam's step size of generator and discriminator, constant.", .min = 0, .max = 1});
    visit("beta1", self.beta1, {.doc = "Adam's first decay, both stages.", .min = 0, .max = 0.9999});
    visit("beta2", self.beta2, {.doc = "Adam's second decay, both stages.", .min = 0, .max = 0.9999999});
    visit("adam_eps", self.adam_eps, {.doc = "Adam's addend to the divisor.", .min = 0, .max = 1});
    visit("code_weight", self.code_weight,
          {.doc = "Weight of the pull towards the target's code.", .min = 0});
    visit("gan_weight", self.gan_weight, {.doc = "Weight of the discriminator's opinion.", .min = 0});
    visit("rec_weight", self.rec_weight,
          {.doc = "Weight of the mean squared change of a picture in [-1,1] units, the only limit of this "
                  "attack. 150 as "
                  "released; to be tuned for each target model, with perceptibility beside it.",
           .min = 0});
    visit("rec_weight_text", self.rec_weight_text,
          {.doc = "The same for texts; to be tuned likewise.", .min = 0});
    visit(
        "d_every", self.d_every,
        {.doc = "The discriminator takes a step at every so many steps of an epoch, the first one included.",
         .min = 1,
         .max = 100000});
  }
};

}  // namespace gauntlet::attacks
