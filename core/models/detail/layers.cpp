#include "core/models/detail/layers.hpp"

#include <fmt/format.h>

namespace gauntlet::models {

HeadImpl::HeadImpl(std::int64_t from, std::int64_t to)
    : fc(register_module("fc", torch::nn::Linear(from, to))) {}

PerceptronImpl::PerceptronImpl(const std::vector<std::int64_t>& widths) {
  for (std::size_t i = 1; i < widths.size(); ++i) {
    layers_.push_back(register_module(fmt::format("fc{}", i), torch::nn::Linear(widths[i - 1], widths[i])));
  }
}

torch::Tensor PerceptronImpl::forward(torch::Tensor input, const RowDraws* draws, double dropout,
                                      std::uint64_t tag) {
  for (std::size_t i = 0; i + 1 < layers_.size(); ++i) {
    input = dropped(torch::relu(layers_[i](input)), dropout, draws, tag++);
  }
  return layers_.back()(input);
}

ModalityMlpImpl::ModalityMlpImpl(const std::vector<std::int64_t>& widths,
                                 collective::Communicator* communicator) {
  for (std::size_t i = 1; i < widths.size(); ++i) {
    layers_.push_back(
        {register_module(fmt::format("fc{}", i), torch::nn::Linear(widths[i - 1], widths[i])),
         register_module(fmt::format("bn{}", i), collective::SyncBatchNorm(widths[i], communicator))});
  }
}

torch::Tensor ModalityMlpImpl::forward(torch::Tensor input, const RowDraws* draws, double dropout,
                                       std::uint64_t tag) {
  for (Layer& layer : layers_) {
    input = dropped(torch::relu(layer.norm(layer.linear(input))), dropout, draws, tag++);
  }
  return input;
}

}  // namespace gauntlet::models
