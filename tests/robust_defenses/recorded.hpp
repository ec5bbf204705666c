// What the recorded cases of adversarial training have in common: a linear hash net, an attack's numbers,
// batches.
#pragma once

#include <gmock/gmock.h>

#include <regex>
#include <string>
#include <vector>

#include "core/attacks/descent.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::testing {

/// Tolerance of a recorded value in double and in float.
struct Tolerance {
  double in_double, in_float;
  [[nodiscard]] double of(const Fixture& fixture) const { return fixture.is_double() ? in_double : in_float; }
};

/// u = tanh(W x + b) for each side that is recorded: "hash.fc" as images, or "hash_image.fc" and
/// "hash_text.fc".
class RecordedHash final : public models::HashingModel {
 public:
  /// `names`: where the layers of images and texts are recorded; an empty name stands for no such side.
  explicit RecordedHash(const Fixture& fixture, const std::string& image = "hash.fc",
                        const std::string& text = "")
      : names_{image, text} {
    image_ = add(fixture, "image", image);
    if (!text.empty()) text_ = add(fixture, "text", text);
  }

  [[nodiscard]] torch::Tensor linear(Modality modality, const torch::Tensor& input) {
    return layer(modality)->forward(input.flatten(1));
  }
  torch::Tensor encode_image(const torch::Tensor& images) override {
    return torch::tanh(linear(Modality::kImage, images));
  }
  torch::Tensor encode_text(const torch::Tensor& text) override {
    return torch::tanh(linear(Modality::kText, text));
  }

  /// Compares weights ("after.2.") or gradients ("grad.step1.") of one side with what is recorded under
  /// `prefix`.
  void expect(const Fixture& fixture, const std::string& prefix, double tolerance, bool gradients,
              Modality modality = Modality::kImage) {
    const std::string name = prefix + names_[modality == Modality::kImage ? 0 : 1];
    for (const auto& [part, tensor] :
         {std::pair{".weight", layer(modality)->weight}, {".bias", layer(modality)->bias}}) {
      expect_recorded(fixture, name + part, gradients ? tensor.grad() : tensor, tolerance);
    }
  }

 private:
  torch::nn::Linear add(const Fixture& fixture, const std::string& name, const std::string& recorded) {
    const torch::Tensor weight = fixture.get("param." + recorded + ".weight");
    torch::nn::Linear layer(weight.size(1), weight.size(0));
    register_module(name, layer);
    load_recorded(fixture, *layer, recorded + ".");
    return layer;
  }
  torch::nn::Linear& layer(Modality modality) { return modality == Modality::kImage ? image_ : text_; }

  std::string names_[2];
  torch::nn::Linear image_{nullptr}, text_{nullptr};
};

/// The ball of a recorded attack: radius under `epsilon`, bounds under "range" (0 and 1 when it has none).
inline attacks::Ball ball_of(const Fixture& fixture, const std::string& epsilon = "eps") {
  const std::vector<double> range =
      fixture.has_text("range") ? fixture.numbers("range") : std::vector<double>{0, 1};
  return {fixture.number(epsilon), range.at(0), range.at(1)};
}

/// The recorded step: a number, or "eps/4" of the ball's radius.
inline double step_of(const Fixture& fixture, const attacks::Ball& ball) {
  const std::string written = fixture.text("step");
  if (!written.starts_with("eps/")) return fixture.number("step");
  return ball.epsilon / std::stod(written.substr(4));
}

/// Rows "0..7, 8..16" of the batches as [first, last).
inline std::vector<std::pair<std::int64_t, std::int64_t>> batches_of(const Fixture& fixture) {
  static const std::regex pattern(R"((\d+)\.\.(\d+))");
  const std::string written = fixture.text("batches");
  std::vector<std::pair<std::int64_t, std::int64_t>> batches;
  for (std::sregex_iterator at(written.begin(), written.end(), pattern), end; at != end; ++at) {
    batches.emplace_back(std::stoll((*at)[1]), std::stoll((*at)[2]) + 1);
  }
  EXPECT_FALSE(batches.empty()) << written;
  return batches;
}

/// Factor of the learning rate at a step of a recorded run, as the releases lower it: to a tenth at half and
/// again at three quarters of its steps, where that is a whole number (their schedule compares for equality).
inline double released_rate_factor(std::int64_t step, std::int64_t n_steps) {
  double factor = 1;
  for (const std::int64_t quarters : {2, 3}) {
    if (quarters * n_steps % 4 == 0 && step >= quarters * n_steps / 4) factor *= 0.1;
  }
  return factor;
}

/// Adam as recorded: "lr", "betas", "adam_eps".
inline torch::optim::AdamOptions recorded_adam(const Fixture& fixture) {
  const std::vector<double> betas = fixture.numbers("betas");
  EXPECT_EQ(betas.size(), 2U) << fixture.text("betas");
  return torch::optim::AdamOptions(fixture.number("lr"))
      .betas({betas.at(0), betas.at(1)})
      .eps(fixture.number("adam_eps"));
}

inline void set_rate(torch::optim::Optimizer& optimiser, double lr) {
  for (auto& group : optimiser.param_groups()) group.options().set_lr(lr);
}

/// The n of every recorded "after.<n>.<name>".
inline std::vector<std::int64_t> recorded_steps(const Fixture& fixture, const std::string& name) {
  std::vector<std::int64_t> steps;
  for (const std::string& rest : fixture.names("after.")) {
    const auto dot = rest.find('.');
    if (rest.substr(dot + 1) == name) steps.push_back(std::stoll(rest.substr(0, dot)));
  }
  EXPECT_FALSE(steps.empty()) << name;
  return steps;
}

/// Every test runs in double and in float.
class Parity : public ::testing::TestWithParam<torch::ScalarType> {};

}  // namespace gauntlet::testing
