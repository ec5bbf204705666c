// DAPH in parts: options, networks, training steps. Tu et al., "Data-Aware Proxy Hashing for Cross-modal
// Retrieval", SIGIR 2023; constants and step order follow the authors' code rongchengtu1/DAPH. Proxy networks
// learn a binary proxy of every training item and class from pictures, texts and labels (stage 1); the hash
// networks learn against these (stage 2). Symbols: v image, t text; B batch, F backbone features, K code
// bits, C labels, N training pairs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/collective/sharded_optimiser.hpp"
#include "core/models/backbone.hpp"
#include "core/models/detail/augment.hpp"
#include "core/models/detail/daph_losses.hpp"
#include "core/models/detail/layers.hpp"
#include "core/models/detail/recipe.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

struct DaphConfig {
  BackboneConfig backbone = fine_tuned_alexnet();
  std::int64_t fc_width = 0;
  std::int64_t hidden = 4096;
  std::int64_t embedding = 512;
  double fc_dropout = 0.5;
  double text_dropout = 0.2;
  double proxy_text_dropout = 0.5;
  double class_dropout = 0.2;
  double label_dropout = 0.1;
  std::int64_t proxy_epochs = 80;
  std::int64_t epochs = 220;
  std::int64_t batch_size = 128;
  std::string optimiser = "sgd";
  double lr = 0.005;
  double proxy_lr = 2e-4;
  double class_lr = 1e-3;
  double weight_decay = 1e-5;
  RateConfig rate = {.schedule = "constant"};
  double gamma = 20;
  double sigma = 0.2;
  double alpha = 0.2;
  double beta = 0.2;
  double eta = 1;
  double eps = 1e-5;
  std::string proxy_loss = "recommended";
  std::string text_positives = "identical";
  bool train_proxy_head = true;
  bool export_dropout = false;
  Augmentation augmentation;

  static void fields(auto& self, auto& visit) {
    BackboneConfig::fields(self.backbone, visit);
    network_fields(self, visit);
    recipe_fields(self, visit);
    loss_fields(self, visit);
    Augmentation::fields(self.augmentation, visit);
  }

  [[nodiscard]] DaphScale scale() const { return {gamma, sigma}; }
  [[nodiscard]] ProxyTermForm proxy_form() const {
    return {eps, proxy_loss == "released", proxy_loss == "released"};
  }

 private:
  static BackboneConfig fine_tuned_alexnet() {
    BackboneConfig config;
    config.backbone = "alexnet";
    config.backbone_frozen = false;
    return config;
  }

  static void network_fields(auto& self, auto& visit) {
    visit("fc_width", self.fc_width,
          {.doc =
               "Width of two fully connected layers between the backbone's feature and the code; 0: none, as "
               "alexnet and cnnf end in theirs (4096).",
           .min = 0,
           .max = 65536});
    visit(
        "hidden", self.hidden,
        {.doc = "Hidden units of the text networks and of the class proxy network.", .min = 1, .max = 65536});
    visit("embedding", self.embedding,
          {.doc = "Width in which data and label branches of the proxy networks are added.",
           .min = 1,
           .max = 65536});
    const auto dropout = [&visit](std::string_view name, auto& value, std::string_view doc) {
      visit(name, value, {.doc = doc, .min = 0, .max = 0.95});
    };
    dropout("fc_dropout", self.fc_dropout, "Share dropped before each of the fc_width layers in training.");
    dropout("text_dropout", self.text_dropout, "Share of the text hash network's hidden units dropped.");
    dropout("proxy_text_dropout", self.proxy_text_dropout,
            "Share of the text proxy network's hidden units dropped.");
    dropout("class_dropout", self.class_dropout, "Share of the class proxy network's hidden units dropped.");
    dropout("label_dropout", self.label_dropout, "Share of the label branches' hidden units dropped.");
  }

  static void recipe_fields(auto& self, auto& visit) {
    visit(
        "proxy_epochs", self.proxy_epochs,
        {.doc = "Passes over the training set for the proxy networks; one more pass then encodes every item.",
         .min = 1,
         .max = 100000});
    visit("epochs", self.epochs,
          {.doc = "Passes over the training set for the hash networks.", .min = 1, .max = 100000});
    visit(
        "batch_size", self.batch_size,
        {.doc = "Training pairs of the global batch, in both stages (the authors have 90 in the first, whose "
                "loss is a sum).",
         .min = 2,
         .max = 65536});
    visit("optimiser", self.optimiser,
          {.doc = "sgd without momentum, as published, or adam, which a network from nothing needs.",
           .choices = {"sgd", "adam"}});
    visit("lr", self.lr, {.doc = "Learning rate of the hash networks.", .min = 0, .max = 10});
    visit("proxy_lr", self.proxy_lr,
          {.doc = "Learning rate of the image and text proxy networks.", .min = 0, .max = 10});
    visit("class_lr", self.class_lr,
          {.doc = "Learning rate of the class proxy network.", .min = 0, .max = 10});
    visit("weight_decay", self.weight_decay, {.doc = "L2 added to all gradients.", .min = 0, .max = 1});
    RateConfig::fields(
        self.rate, visit,
        "Learning rate over a stage: constant (the published steps come after the last epoch) or "
        "poly (x (1 - step/steps)^0.9).",
        {"constant", "poly"});
  }

  static void loss_fields(auto& self, auto& visit) {
    visit("gamma", self.gamma, {.doc = "Scale of similarities in every logit.", .min = 0, .max = 1000});
    visit("sigma", self.sigma, {.doc = "Margin of similarities that should be large.", .min = 0, .max = 2});
    visit("alpha", self.alpha, {.doc = "Weight of bit balance in stage 1.", .min = 0, .max = 1e6});
    visit("beta", self.beta, {.doc = "Weight of quantisation in stage 1.", .min = 0, .max = 1e6});
    visit("eta", self.eta, {.doc = "Weight of partial positives in stage 2.", .min = 0, .max = 1e6});
    visit("eps", self.eps,
          {.doc =
               "Added to denominators, and in stage 1 to the probabilities, where it caps a term at 11.5 and "
               "flattens the gradient of hard positives: part of the method. 0: the exact logarithm.",
           .min = 0,
           .max = 0.1});
    visit(
        "proxy_loss", self.proxy_loss,
        {.doc = "Denominator of stage 1: own class and other classes (recommended), or as the authors' code "
                "has it, with an item's own classes once more as e^0 each (released).",
         .choices = {"recommended", "released"}});
    visit("text_positives", self.text_positives,
          {.doc =
               "Positive anchors of a text: the identical label set, as for images, or, as the authors' code "
               "has it, every set that contains its labels (subset).",
           .choices = {"identical", "subset"}});
    visit("train_proxy_head", self.train_proxy_head,
          {.doc =
               "Train the image proxy network's embedding, label branch and code layer; false leaves them as "
               "drawn, as the authors' code does."});
    visit("export_dropout", self.export_dropout,
          {.doc = "Make proxies in train mode, with dropout, as the authors' code does."});
  }
};

/// A backbone's feature through "fc6" and "fc7", each Dropout Linear ReLU, where the width is not 0.
class FullyConnectedPair : public torch::nn::Module {
 protected:
  FullyConnectedPair(std::int64_t from, std::int64_t width, double dropout);
  /// [B, F] → [B, pair_width()].
  torch::Tensor through_pair(const torch::Tensor& feature, const RowDraws* draws, std::uint64_t tag);
  [[nodiscard]] std::int64_t pair_width() const { return out_; }

 private:
  std::int64_t out_;
  double dropout_;
  torch::nn::Linear fc6_{nullptr}, fc7_{nullptr};
};

/// The image head of stage 2: "fc6", "fc7", "hash".
class ImageHashNetImpl : public FullyConnectedPair {
 public:
  ImageHashNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits);
  torch::Tensor forward(const torch::Tensor& feature, const RowDraws* draws);

 private:
  torch::nn::Linear hash_;
};
TORCH_MODULE(ImageHashNet);

/// The text network of stage 2: "fc1", "hash".
class TextHashNetImpl : public torch::nn::Module {
 public:
  TextHashNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits);
  torch::Tensor forward(const torch::Tensor& text, const RowDraws* draws);

 private:
  double dropout_;
  torch::nn::Linear fc1_, hash_;
};
TORCH_MODULE(TextHashNet);

/// The hash networks of stage 2; saved as the model.
class DaphNet final : public HashingModel {
 public:
  DaphNet(const DaphConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk);
  torch::Tensor encode_image(const torch::Tensor& images) override { return image_codes(images, nullptr); }
  torch::Tensor encode_text(const torch::Tensor& text) override { return text_codes(text, nullptr); }
  [[nodiscard]] std::vector<torch::Tensor> backbone_parameters() override { return trunk_->parameters(); }
  /// As encode_…, with dropout where draws are given.
  [[nodiscard]] torch::Tensor image_codes(const torch::Tensor& images, const RowDraws* draws);
  [[nodiscard]] torch::Tensor text_codes(const torch::Tensor& text, const RowDraws* draws);
  [[nodiscard]] const ModelShape& shape() const { return shape_; }

 private:
  ModelShape shape_;
  std::shared_ptr<Backbone> trunk_;
  ImageHashNet image_net_;
  TextHashNet text_net_;
};

/// The image proxy network without its label branch: "fc6", "fc7", "embed", "code".
class ImageProxyNetImpl : public FullyConnectedPair {
 public:
  ImageProxyNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits);
  /// [B, F] → [B, E], rows of length 1.
  torch::Tensor embed(const torch::Tensor& feature, const RowDraws* draws);
  torch::nn::Linear embed_layer, code;
};
TORCH_MODULE(ImageProxyNet);

/// The text proxy network without its label branch: "fc1", "embed", "code".
class TextProxyNetImpl : public torch::nn::Module {
 public:
  TextProxyNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits);
  /// [B, D] → [B, E], rows of length 1.
  torch::Tensor embed(const torch::Tensor& text, const RowDraws* draws);
  torch::nn::Linear fc1, embed_layer, code;

 private:
  double dropout_;
};
TORCH_MODULE(TextProxyNet);

/// The proxy networks of stage 1; dropout where draws are given.
class DaphProxies final : public torch::nn::Module {
 public:
  DaphProxies(const DaphConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk);
  /// Pictures (or features) and labels [B, C] → u [B, K], rows of length 1.
  [[nodiscard]] torch::Tensor image(const torch::Tensor& images, const torch::Tensor& labels,
                                    const RowDraws* draws);
  /// Texts [B, D] and labels [B, C] → s [B, K], rows of length 1.
  [[nodiscard]] torch::Tensor text(const torch::Tensor& text, const torch::Tensor& labels,
                                   const RowDraws* draws);
  /// p [C, K], rows of length 1; draws give seed and step.
  [[nodiscard]] torch::Tensor classes(const RowDraws* draws);
  /// What the image and text networks' optimiser steps; `head` as DaphConfig::train_proxy_head.
  [[nodiscard]] std::vector<torch::Tensor> data_parameters(bool head) const;
  [[nodiscard]] std::vector<torch::Tensor> class_parameters() const { return class_proxy_->parameters(); }

 private:
  double class_dropout_, label_dropout_;
  std::int64_t n_labels_;
  std::shared_ptr<Backbone> trunk_;
  Perceptron class_proxy_, label_v_, label_t_;
  ImageProxyNet image_proxy_;
  TextProxyNet text_proxy_;
};

/// Binary proxies that stage 2 learns against.
struct DaphAnchors {
  torch::Tensor image, text;  ///< a^v, a^t [n, K] ±1 of the training items that were encoded
  torch::Tensor labels;       ///< [n, C]
  torch::Tensor classes;      ///< [C, K] ±1
};

/// Outputs of stage 1 for the global batch, the same on every rank.
struct ProxyForward {
  torch::Tensor image, text, classes;  ///< u, s [B, K], p [C, K]
  torch::Tensor labels, rows;          ///< [B, C], [B] int64
};

/// Terms of L_1 without weights, scalars.
struct ProxyLoss {
  torch::Tensor image_affinity, text_affinity, separation;
  torch::Tensor image_gap, text_gap, class_gap, image_imbalance, text_imbalance, class_imbalance;
  torch::Tensor total;
};

/// Relaxed codes of stage 2 for this rank's b rows of a global batch, and the anchors they should meet.
struct HashForward {
  torch::Tensor image, text;  ///< h [b, K]
  torch::Tensor labels;       ///< [b, C]
  AnchorSets image_sets, text_sets;
  /// What turns a mean over own rows, or over own rows with partial positives, into a share of the batch's.
  double row_share = 1, image_partial_share = 1, text_partial_share = 1;
};

/// Terms of L_2 for one network, without weights; scalars, whose means over ranks are those of the batch.
struct HashLoss {
  AnchorLoss image_anchors, text_anchors;
  torch::Tensor classes, total;
};

class DaphTraining final : public ModelTraining {
 public:
  DaphTraining(const DaphConfig& config, std::shared_ptr<DaphNet> net, std::unique_ptr<DaphProxies> proxies,
               const TrainingSetup& setup);

  /// The proxy networks' epochs, one that encodes the training set, the hash networks' epochs.
  [[nodiscard]] std::int64_t n_epochs() const override { return config_.proxy_epochs + 1 + config_.epochs; }
  [[nodiscard]] std::int64_t batch_size() const override { return config_.batch_size; }
  void begin(std::int64_t n_steps) override;
  /// Losses "proxies" (L_1), "image" and "text" (L_2), "total"; 0 for what the stage does not train.
  Losses step(const TrainingBatch& batch) override;
  /// L_2 of both networks. Undefined while there are no proxies: the call has then done what a step does.
  [[nodiscard]] torch::Tensor objective(const TrainingBatch& batch) override;
  void end_epoch() override;
  /// Of the stage that runs.
  [[nodiscard]] Rates learning_rates() const override;
  void visit_state(StateVisitor& visitor) override;

  // Stage 1.
  [[nodiscard]] ProxyForward proxy_forward(const TrainingBatch& batch, const RowDraws* draws);
  [[nodiscard]] ProxyLoss proxy_loss(const ProxyForward& pass) const;
  ProxyLoss proxy_step(const ProxyForward& pass);

  // Stage 2. Neither network sees the other, so one pass over the batches steps both.
  [[nodiscard]] HashForward hash_forward(const TrainingBatch& batch, const RowDraws* draws);
  [[nodiscard]] HashLoss hash_loss(Modality modality, const HashForward& pass) const;
  /// One step of both networks on the sum of their losses.
  void hash_step(const torch::Tensor& loss);

  [[nodiscard]] DaphProxies& proxies() { return *proxies_; }  ///< until the proxies are made
  DaphAnchors anchors;                                        ///< undefined until then

 private:
  enum class Stage : std::uint8_t { kProxies, kExport, kHash };
  [[nodiscard]] ProxyLoss stage_1(const TrainingBatch& batch);
  [[nodiscard]] std::pair<HashLoss, HashLoss> stage_2(const TrainingBatch& batch);
  void make_anchors();
  void drop_proxies();
  void start_stage(Stage stage, std::int64_t n_epochs);
  [[nodiscard]] double rate(double base) const;

  DaphConfig config_;
  std::shared_ptr<DaphNet> net_;
  std::unique_ptr<DaphProxies> proxies_;
  TrainingSetup setup_;
  std::unique_ptr<torch::optim::Optimizer> data_optimiser_, class_optimiser_;
  std::unique_ptr<collective::GradientReducer> proxy_reducer_;
  std::unique_ptr<collective::ShardedOptimiser> hash_optimiser_;
  torch::Tensor proxy_image_, proxy_text_;  // u, s [N, K] as last seen; zero rows were never seen
  Stage stage_ = Stage::kProxies;
  TrainingClock clock_;  // within the stage
  std::int64_t steps_per_epoch_ = 0;
  std::int64_t step_ = 0;  // over all stages
};

}  // namespace gauntlet::models
