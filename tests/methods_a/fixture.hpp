// Recorded cases (.safetensors) and comparisons against them.
#pragma once

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <filesystem>
#include <set>
#include <string>

#include "core/io/safetensors.hpp"
#include "core/train/checkpoint.hpp"

namespace gauntlet::testing {

/// One recorded case. Floating tensors are handed out in the type the test runs in.
class Fixture {
 public:
  Fixture(train::NamedTensors tensors, io::MetadataMap metadata, torch::Dtype dtype)
      : tensors_(std::move(tensors)), metadata_(std::move(metadata)), dtype_(dtype) {}

  [[nodiscard]] bool has(const std::string& name) const { return tensors_.contains(name); }
  [[nodiscard]] torch::Tensor get(const std::string& name) const {
    const auto found = tensors_.find(name);
    EXPECT_NE(found, tensors_.end()) << name;
    if (found == tensors_.end()) return torch::zeros({1});
    return found->second.to(found->second.is_floating_point() ? dtype_ : torch::kInt64, false, /*copy=*/true);
  }
  /// The reference value in double: f64.<name> where both are recorded.
  [[nodiscard]] torch::Tensor reference(const std::string& name) const {
    const auto found = tensors_.find(has("f64." + name) ? "f64." + name : name);
    EXPECT_NE(found, tensors_.end()) << name;
    return found == tensors_.end() ? torch::zeros({1}) : found->second.to(torch::kFloat64);
  }
  /// Names after `prefix` of every tensor that starts with it.
  [[nodiscard]] std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) {
      if (name.rfind(prefix, 0) == 0) names.push_back(name.substr(prefix.size()));
    }
    return names;
  }
  [[nodiscard]] std::string metadata(const std::string& name) const {
    const auto found = metadata_.find(name);
    return found == metadata_.end() ? "" : found->second;
  }
  [[nodiscard]] bool lists(const std::string& key, const std::string& name) const {
    return ("," + metadata(key) + ",").find("," + name + ",") != std::string::npos;
  }
  [[nodiscard]] torch::Dtype dtype() const { return dtype_; }

 private:
  train::NamedTensors tensors_;
  io::MetadataMap metadata_;
  torch::Dtype dtype_;
};

inline std::filesystem::path parity_folder() {
  return std::filesystem::path(GAUNTLET_SOURCE_DIR) / ".." / "shared" / "parity";
}

inline Fixture open_fixture(const std::string& name, torch::Dtype dtype) {
  const std::filesystem::path path = parity_folder() / (name + ".safetensors");
  auto tensors = train::load_tensors(path);
  auto file = io::read_safetensors(path);
  EXPECT_TRUE(tensors && file) << path;
  if (!tensors || !file) return {{}, {}, dtype};
  return {std::move(*tensors), file->metadata, dtype};
}

/// Copies every param.<name> of the case that the module has; returns how many.
inline int load_params(const Fixture& fixture, torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  int n_loaded = 0;
  for (auto& [name, tensor] : train::state_of(module)) {
    if (!fixture.has("param." + name)) continue;
    EXPECT_EQ(tensor.sizes(), fixture.get("param." + name).sizes()) << name;
    torch::Tensor(tensor).copy_(fixture.get("param." + name));
    ++n_loaded;
  }
  return n_loaded;
}

/// |actual - reference| <= tolerance * max(floor, max |reference|).
inline void expect_near(const torch::Tensor& actual, const torch::Tensor& reference, double tolerance,
                        const std::string& name, double floor = 1) {
  const torch::Tensor left = actual.detach().to(torch::kFloat64).reshape(-1);
  const torch::Tensor right = reference.to(torch::kFloat64).reshape(-1);
  ASSERT_EQ(left.numel(), right.numel()) << name;
  if (left.numel() == 0) return;
  const double scale = std::max(floor, right.abs().max().item<double>());
  const double error = (left - right).abs().max().item<double>();
  EXPECT_LE(error, tolerance * scale) << name << ": " << left.slice(0, 0, 4) << right.slice(0, 0, 4);
}

}  // namespace gauntlet::testing

/// Skips, and says why, where the recorded cases are not beside the source tree.
#define GAUNTLET_NEEDS_PARITY()                                                             \
  if (!std::filesystem::exists(gauntlet::testing::parity_folder())) {                       \
    GTEST_SKIP() << "no recorded cases at " << gauntlet::testing::parity_folder().string(); \
  }
