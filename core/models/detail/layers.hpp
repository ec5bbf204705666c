// Small fully connected networks that the heads, critics and modality networks of target models are made of.
#pragma once

#include <cstdint>
#include <vector>

#include "core/collective/communicator.hpp"
#include "core/models/detail/row_draws.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// One linear layer under the name "fc".
class HeadImpl : public torch::nn::Module {
 public:
  HeadImpl(std::int64_t from, std::int64_t to);
  torch::Tensor forward(const torch::Tensor& input) { return fc(input); }
  torch::nn::Linear fc;
};
TORCH_MODULE(Head);

/// Linear layers "fc1", "fc2", … with ReLU between them.
class PerceptronImpl : public torch::nn::Module {
 public:
  /// Widths from the input to the output, at least two.
  explicit PerceptronImpl(const std::vector<std::int64_t>& widths);
  /// [B, from] → [B, to]. With draws, each ReLU's outputs are dropped with probability `dropout`; layer i
  /// draws from purpose tag + i.
  torch::Tensor forward(torch::Tensor input, const RowDraws* draws = nullptr, double dropout = 0,
                        std::uint64_t tag = 0);

 private:
  std::vector<torch::nn::Linear> layers_;
};
TORCH_MODULE(Perceptron);

/// Linear, batch normalisation, ReLU per step of width: "fc1", "bn1", "fc2", ….
class ModalityMlpImpl : public torch::nn::Module {
 public:
  /// Widths from the input to the feature, at least two.
  ModalityMlpImpl(const std::vector<std::int64_t>& widths, collective::Communicator* communicator);
  /// [B, from] → [B, to], at least 0; dropout as a Perceptron's.
  torch::Tensor forward(torch::Tensor input, const RowDraws* draws = nullptr, double dropout = 0,
                        std::uint64_t tag = 0);

 private:
  struct Layer {
    torch::nn::Linear linear;
    collective::SyncBatchNorm norm;
  };
  std::vector<Layer> layers_;
};
TORCH_MODULE(ModalityMlp);

}  // namespace gauntlet::models
