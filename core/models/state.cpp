#include "core/models/state.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/check.hpp"

namespace gauntlet::models {
namespace {

// Beside a tensor whose memory is not in the order of its dimensions.
constexpr std::string_view kStrides = "#strides";

/// How an undefined tensor is taken down; no state is an empty tensor of bool.
torch::Tensor nothing() { return torch::empty({0}, torch::kBool); }
bool is_nothing(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kBool && tensor.numel() == 0;
}

std::string shape_of(const torch::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

void visit_moments(StateVisitor& visitor, torch::optim::AdamParamState& state) {
  std::int64_t step = state.step();
  visitor.number("step", step);
  state.step(step);
  visitor.tensor("exp_avg", state.exp_avg());
  visitor.tensor("exp_avg_sq", state.exp_avg_sq());
}

void visit_moments(StateVisitor& visitor, torch::optim::SGDParamState& state) {
  visitor.tensor("momentum_buffer", state.momentum_buffer());
}

}  // namespace

StateVisitor::Scope::Scope(StateVisitor& visitor, std::string_view name)
    : visitor_(visitor), length_(visitor.prefix_.size()) {
  visitor_.prefix_ += name;
  visitor_.prefix_ += '/';
}

StateVisitor::Scope::~Scope() { visitor_.prefix_.resize(length_); }

std::string StateVisitor::path_of(std::string_view name) const { return prefix_ + std::string(name); }

void StateVisitor::number(std::string_view name, std::int64_t& value) {
  torch::Tensor held = torch::tensor({value}, torch::kInt64);
  visit(path_of(name), held);
  value = held.item<std::int64_t>();
}

void StateVisitor::number(std::string_view name, double& value) {
  torch::Tensor held = torch::tensor({value}, torch::kFloat64);
  visit(path_of(name), held);
  value = held.item<double>();
}

void StateVisitor::text(std::string_view name, std::string& value) {
  torch::Tensor held = torch::tensor(std::vector<std::uint8_t>(value.begin(), value.end()), torch::kUInt8);
  visit(path_of(name), held);
  const auto* bytes = held.const_data_ptr<std::uint8_t>();
  value.assign(bytes, bytes + held.numel());
}

void StateVisitor::curves(std::string_view name, Curves& curves) {
  const Scope scope(*this, name);
  std::string names;
  for (const auto& [curve, values] : curves) names += curve + '\n';
  text("names", names);
  Curves visited;
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = names.find('\n', begin);
    const std::string curve = names.substr(begin, end - begin);
    torch::Tensor held = torch::tensor(curves[curve], torch::kFloat32);
    visit(path_of("of " + curve), held);
    const auto* values = held.const_data_ptr<float>();
    visited[curve].assign(values, values + held.numel());
    begin = end + 1;
  }
  curves = std::move(visited);
}

void StateVisitor::module(std::string_view name, torch::nn::Module& module) {
  const Scope scope(*this, name);
  for (const auto& [own, tensor] : state_of(module)) visit_shared(path_of(own), tensor);
}

template <class State>
void StateVisitor::moments(torch::optim::Optimizer& optimiser, const torch::Tensor& parameter) {
  auto& states = optimiser.state();
  void* const key = parameter.unsafeGetTensorImpl();
  std::int64_t has_any = states.find(key) != states.end() ? 1 : 0;
  number("has_any", has_any);
  if (has_any == 0) {
    states.erase(key);  // an optimiser makes them with its first step
    return;
  }
  auto& state = states[key];
  if (state == nullptr) state = std::make_unique<State>();
  visit_moments(*this, static_cast<State&>(*state));
}

void StateVisitor::optimiser(std::string_view name, torch::optim::Optimizer& optimiser) {
  const bool is_adam = dynamic_cast<torch::optim::Adam*>(&optimiser) != nullptr;
  GAUNTLET_CHECK(is_adam || dynamic_cast<torch::optim::SGD*>(&optimiser) != nullptr);
  const Scope scope(*this, name);
  std::size_t group_number = 0;
  for (auto& group : optimiser.param_groups()) {
    const Scope of_group(*this, fmt::format("group {}", group_number++));
    double rate = group.options().get_lr();
    number("lr", rate);
    group.options().set_lr(rate);
    std::size_t parameter_number = 0;
    for (const torch::Tensor& parameter : group.params()) {
      const Scope of_parameter(*this, fmt::format("{}", parameter_number++));
      is_adam ? moments<torch::optim::AdamParamState>(optimiser, parameter)
              : moments<torch::optim::SGDParamState>(optimiser, parameter);
    }
  }
}

void StateWriter::visit(const std::string& path, torch::Tensor& value) {
  const bool is_new = tensors.try_emplace(path, value.defined() ? value.detach().cpu() : nothing()).second;
  GAUNTLET_CHECK(is_new);
  if (!value.defined() || value.is_contiguous() || !value.is_non_overlapping_and_dense()) return;
  tensors[path + std::string(kStrides)] = torch::tensor(value.strides().vec(), torch::kInt64);
}

void StateWriter::visit_shared(const std::string& path, const torch::Tensor& target) {
  const bool is_new = tensors.try_emplace(path, target.detach().cpu()).second;
  GAUNTLET_CHECK(is_new);
}

const torch::Tensor* StateReader::find(const std::string& path) {
  const auto found = tensors_.find(path);
  used_[path] = true;
  if (found != tensors_.end()) return &found->second;
  if (misfit_.empty()) misfit_ = fmt::format("it has no '{}'", path);
  return nullptr;
}

void StateReader::visit(const std::string& path, torch::Tensor& value) {
  const torch::Tensor* const stored = find(path);
  if (stored == nullptr) return;
  if (is_nothing(*stored)) {
    value = torch::Tensor();
    return;
  }
  torch::Tensor restored = stored->clone();
  const std::string strides_path = path + std::string(kStrides);
  if (tensors_.contains(strides_path)) {
    const torch::Tensor strides = *find(strides_path);
    const auto* first = strides.const_data_ptr<std::int64_t>();
    const std::vector<std::int64_t> in_memory(first, first + strides.numel());
    restored = torch::empty_strided(stored->sizes(), in_memory, stored->options()).copy_(*stored);
  }
  value = value.defined() ? restored.to(value.device()) : restored;
}

void StateReader::visit_shared(const std::string& path, const torch::Tensor& target) {
  const torch::Tensor* const stored = find(path);
  if (stored == nullptr) return;
  if (stored->sizes() != target.sizes() || stored->scalar_type() != target.scalar_type()) {
    if (misfit_.empty()) {
      misfit_ =
          fmt::format("'{}' has shape {}, where {} is needed", path, shape_of(*stored), shape_of(target));
    }
    return;
  }
  const torch::NoGradGuard no_grad;
  torch::Tensor(target).copy_(*stored);
}

Status StateReader::finish() const {
  if (!misfit_.empty()) return fail(ErrorCode::kCorrupt, "{}", misfit_);
  const auto unknown =
      std::ranges::find_if(tensors_, [&](const auto& one) { return !used_.contains(one.first); });
  if (unknown == tensors_.end()) return {};
  return fail(ErrorCode::kCorrupt, "it has a '{}', which nothing asks for", unknown->first);
}

}  // namespace gauntlet::models
