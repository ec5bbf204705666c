#include "core/models/weights.hpp"

#include <fmt/ranges.h>

namespace gauntlet::models {
namespace {

std::string shape_of(const torch::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

}  // namespace

NamedTensors state_of(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& parameter : module.named_parameters()) state[parameter.key()] = parameter.value().detach();
  for (const auto& buffer : module.named_buffers()) state[buffer.key()] = buffer.value().detach();
  return state;
}

NamedTensors weights_of(const torch::nn::Module& module) {
  NamedTensors weights;
  for (const auto& [name, tensor] : state_of(module)) {
    weights[name] = tensor.cpu().clone(torch::MemoryFormat::Contiguous);
  }
  return weights;
}

Status restore(torch::nn::Module& module, const NamedTensors& tensors, std::string_view owner) {
  const std::string checkpoint = owner.empty() ? "the checkpoint" : fmt::format("the {} checkpoint", owner);
  const NamedTensors state = state_of(module);
  for (const auto& [name, target] : state) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return fail(ErrorCode::kCorrupt, "{} has no tensor '{}'", checkpoint, name);
    if (found->second.sizes() != target.sizes()) {
      return fail(ErrorCode::kCorrupt, "tensor '{}' of {} has shape {}; the model needs {}", name, checkpoint,
                  shape_of(found->second), shape_of(target));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!state.contains(name)) {
      return fail(ErrorCode::kCorrupt, "{} has a tensor '{}' that the model does not know", checkpoint, name);
    }
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, target] : state) torch::Tensor(target).copy_(tensors.at(name));
  return {};
}

NamedTensors with_prefix(const NamedTensors& tensors, std::string_view prefix) {
  NamedTensors found;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = tensor;
  }
  return found;
}

void add_with_prefix(NamedTensors& all, std::string_view prefix, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) all[std::string(prefix) + name] = tensor;
}

void share_weights(torch::nn::Module& module, collective::Communicator& communicator) {
  for (auto& [name, tensor] : state_of(module)) communicator.broadcast_(tensor);
}

std::int64_t n_parameters(const torch::nn::Module& module) {
  std::int64_t n = 0;
  for (const torch::Tensor& parameter : module.parameters()) n += parameter.numel();
  return n;
}

FrozenModule::FrozenModule(torch::nn::Module& module, bool eval)
    : module_(module), was_training_(module.is_training()) {
  if (eval) module_.eval();
  for (auto& parameter : module_.parameters()) {
    if (!parameter.requires_grad()) continue;
    parameter.set_requires_grad(false);
    unfrozen_.push_back(parameter);
  }
}

FrozenModule::~FrozenModule() {
  for (auto& parameter : unfrozen_) parameter.set_requires_grad(true);
  if (was_training_ != module_.is_training()) module_.train(was_training_);
}

}  // namespace gauntlet::models
