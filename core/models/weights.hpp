// Parameters and buffers of a network as named tensors, and freezing it for a while.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

using NamedTensors = std::map<std::string, torch::Tensor>;

/// Parameters and buffers by their dotted names; the tensors share memory with the module.
[[nodiscard]] NamedTensors state_of(const torch::nn::Module& module);

/// The same as copies of their own, on the CPU and contiguous: what a checkpoint keeps.
[[nodiscard]] NamedTensors weights_of(const torch::nn::Module& module);

/// Copies tensors into the module's parameters and buffers; nothing changes unless all fit. `owner` names the
/// checkpoint in messages ("drfgd"), may be empty. Errors (kCorrupt): a tensor that is missing, unknown or of
/// another shape, by name with both shapes.
[[nodiscard]] Status restore(torch::nn::Module& module, const NamedTensors& tensors,
                             std::string_view owner = {});

/// The tensors whose name starts with `prefix`, without it: the state of one network among several.
[[nodiscard]] NamedTensors with_prefix(const NamedTensors& tensors, std::string_view prefix);
/// Adds the tensors under `prefix` + name.
void add_with_prefix(NamedTensors& all, std::string_view prefix, const NamedTensors& tensors);

/// Rank 0's weights on every rank. They are equal by their seed already; this makes it a fact.
void share_weights(torch::nn::Module& module, collective::Communicator& communicator);

[[nodiscard]] std::int64_t n_parameters(const torch::nn::Module& module);

/// Turns off training mode (unless `eval` is false) and weight gradients of a module while it lives, and puts
/// both back as they were.
class FrozenModule {
 public:
  explicit FrozenModule(torch::nn::Module& module, bool eval = true);
  ~FrozenModule();
  FrozenModule(const FrozenModule&) = delete;
  FrozenModule& operator=(const FrozenModule&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
  std::vector<torch::Tensor> unfrozen_;
};

}  // namespace gauntlet::models
