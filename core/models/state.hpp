// The mutable state of a training run. Whatever trains names its state once, in a function
// `visit_state(StateVisitor&)`; saving and putting back are two visitors of that function, so that nothing
// can be saved and forgotten on the way back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Loss name → mean per epoch.
using Curves = std::map<std::string, std::vector<float>>;

/// Thread safety: none. Names are unique within a part; parts have names too.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;

  /// Replaced when state is put back, memory layout included: products of matrices round by it. May be
  /// undefined.
  void tensor(std::string_view name, torch::Tensor& value) { visit(path_of(name), value); }
  /// Memory that others hold too: keeps its place and shape.
  void shared(std::string_view name, const torch::Tensor& target) { visit_shared(path_of(name), target); }
  void number(std::string_view name, std::int64_t& value);
  void number(std::string_view name, double& value);
  void curves(std::string_view name, Curves& curves);
  /// Parameters and buffers. Its mode and which parameters learn are the owner's.
  void module(std::string_view name, torch::nn::Module& module);
  /// Moments, counts of steps and learning rates, of an Adam or an SGD.
  void optimiser(std::string_view name, torch::optim::Optimizer& optimiser);
  /// Something with a visit_state of its own.
  template <class Part>
  void part(std::string_view name, Part& part) {
    const Scope scope(*this, name);
    part.visit_state(*this);
  }

 private:
  /// A value as it is, or as it was.
  virtual void visit(const std::string& path, torch::Tensor& value) = 0;
  /// The same in place.
  virtual void visit_shared(const std::string& path, const torch::Tensor& target) = 0;

  class Scope {
   public:
    Scope(StateVisitor& visitor, std::string_view name);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    StateVisitor& visitor_;
    std::size_t length_;
  };
  [[nodiscard]] std::string path_of(std::string_view name) const;
  void text(std::string_view name, std::string& value);
  template <class State>
  void moments(torch::optim::Optimizer& optimiser, const torch::Tensor& parameter);

  std::string prefix_;
};

/// Takes state down. Its tensors lie on the CPU and may share memory with the run.
class StateWriter final : public StateVisitor {
 public:
  NamedTensors tensors;

 private:
  void visit(const std::string& path, torch::Tensor& value) override;
  void visit_shared(const std::string& path, const torch::Tensor& target) override;
};

/// Puts back what a StateWriter took down, into a run made with the same settings.
class StateReader final : public StateVisitor {
 public:
  explicit StateReader(const NamedTensors& tensors) : tensors_(tensors) {}

  /// What did not fit, if anything; the run is then of no use. Errors (kCorrupt): a tensor that is missing,
  /// of another shape, or that nothing asked for, by name.
  [[nodiscard]] Status finish() const;

 private:
  void visit(const std::string& path, torch::Tensor& value) override;
  void visit_shared(const std::string& path, const torch::Tensor& target) override;
  /// Null, and remembered, when there is none.
  const torch::Tensor* find(const std::string& path);

  const NamedTensors& tensors_;
  std::map<std::string, bool, std::less<>> used_;
  std::string misfit_;
};

}  // namespace gauntlet::models
