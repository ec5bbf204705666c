// Recorded cases (.safetensors) of the original implementations, and comparisons against them. They lie in
// tests/parity; GAUNTLET_PARITY_DIR names another folder of cases, of any sizes and hyper-parameters. A
// missing file is a failure.
#pragma once

#include <gmock/gmock.h>

#include <cstring>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/fields.hpp"
#include "core/io/safetensors.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"
#include "tests/support/parity_folder.hpp"

namespace gauntlet::testing {

/// One recorded case. Floating tensors are handed out in the type the test runs in.
class Fixture {
 public:
  /// `name` without extension, below the folder: "attacks/ladv".
  Fixture(const std::string& name, torch::Dtype dtype) : name_(name), dtype_(dtype) {
    auto file = io::read_safetensors(parity_folder() / (name + ".safetensors"));
    EXPECT_TRUE(file) << (file ? "" : file.error().message);
    if (!file) return;
    metadata_ = file->metadata;
    for (const auto& [key, view] : file->tensors) {
      const auto type = view.dtype == io::DType::kF64   ? torch::kFloat64
                        : view.dtype == io::DType::kI64 ? torch::kInt64
                                                        : torch::kFloat32;
      torch::Tensor tensor = torch::empty(view.shape, type);
      EXPECT_EQ(tensor.nbytes(), view.bytes.size()) << key;
      if (tensor.nbytes() == view.bytes.size()) {
        std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
      }
      tensors_.emplace(key, tensor);
    }
  }

  [[nodiscard]] torch::Dtype dtype() const { return dtype_; }
  [[nodiscard]] bool is_double() const { return dtype_ == torch::kFloat64; }
  [[nodiscard]] bool has(const std::string& key) const { return tensors_.contains(key); }
  /// A copy in the test's type; integers stay int64.
  [[nodiscard]] torch::Tensor get(const std::string& key) const {
    const torch::Tensor& stored = at(key);
    return stored.to(stored.is_floating_point() ? dtype_ : torch::kInt64, false, /*copy=*/true);
  }
  [[nodiscard]] torch::Tensor leaf(const std::string& key) const { return get(key).requires_grad_(); }
  /// The recorded value in double: f64.<key> where both are recorded.
  [[nodiscard]] torch::Tensor reference(const std::string& key) const {
    return at(has("f64." + key) ? "f64." + key : key).to(torch::kFloat64);
  }
  /// Whether the recorded value is known in single precision only.
  [[nodiscard]] bool is_single(const std::string& key) const {
    return !has("f64." + key) && at(key).scalar_type() == torch::kFloat32;
  }
  /// Keys that start with `prefix`, without it.
  [[nodiscard]] std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> found;
    for (const auto& [key, tensor] : tensors_) {
      if (key.starts_with(prefix)) found.push_back(key.substr(prefix.size()));
    }
    return found;
  }

  [[nodiscard]] bool has_text(const std::string& key) const { return metadata_.contains(key); }
  [[nodiscard]] std::string text(const std::string& key) const {
    const auto found = metadata_.find(key);
    EXPECT_NE(found, metadata_.end()) << name_ << " has no metadata '" << key << "'";
    return found == metadata_.end() ? "" : found->second;
  }
  /// A hyper-parameter; fractions such as 8/255 count.
  [[nodiscard]] double number(const std::string& key) const {
    FieldInfo field;
    field.name = key;
    field.type = FieldType::kReal;
    const std::string written = text(key);
    const Json plain = Json::parse(written, nullptr, false);
    const auto value = normalize_field(field, plain.is_number() ? plain : Json(written));
    EXPECT_TRUE(value) << name_ << ": metadata '" << key << "' is '" << written << "'";
    return value ? value->get<double>() : 0;
  }
  /// Every number in a text, in order: "lr 1e-3, betas 0.9 0.999" → 1e-3, 0.9, 0.999; "3/500" counts as one,
  /// digits that belong to a word ("fp32") do not count.
  [[nodiscard]] std::vector<double> numbers(const std::string& key) const {
    static const std::regex pattern(R"((^|[^A-Za-z0-9_.])(-?\d+\.?\d*(?:[eE][-+]?\d+)?)(?:/(\d+\.?\d*))?)");
    const std::string written = text(key);
    std::vector<double> found;
    for (std::sregex_iterator at(written.begin(), written.end(), pattern), end; at != end; ++at) {
      found.push_back(std::stod((*at)[2]) / ((*at)[3].matched ? std::stod((*at)[3]) : 1));
    }
    return found;
  }
  /// The number after `word` in a text such as "lr 1e-3, betas 0.5 0.9, eps 1e-8"; `at` counts further ones.
  [[nodiscard]] double number_after(const std::string& key, const std::string& word,
                                    std::size_t at = 0) const {
    const std::string written = text(key);
    const std::size_t found = written.find(word);
    EXPECT_NE(found, std::string::npos) << name_ << ": metadata '" << key << "' has no '" << word << "'";
    if (found == std::string::npos) return 0;
    std::istringstream rest(written.substr(found + word.size()));
    double value = 0;
    for (std::size_t i = 0; i <= at; ++i) EXPECT_TRUE(rest >> value) << name_ << ": " << key << ", " << word;
    return value;
  }
  [[nodiscard]] std::int64_t integer(const std::string& key) const {
    return static_cast<std::int64_t>(number(key));
  }
  /// Whether `name` is in the comma-separated list under `key`; blanks around names do not count.
  [[nodiscard]] bool lists(const std::string& key, const std::string& name) const {
    if (!has_text(key)) return false;
    std::string list = ",";
    for (const char c : text(key)) {
      if (c != ' ') list += c;
    }
    return (list + ",").find("," + name + ",") != std::string::npos;
  }

 private:
  [[nodiscard]] const torch::Tensor& at(const std::string& key) const {
    static const torch::Tensor nothing = torch::zeros({0});
    const auto found = tensors_.find(key);
    EXPECT_NE(found, tensors_.end()) << name_ << " has no '" << key << "'";
    return found == tensors_.end() ? nothing : found->second;
  }

  std::string name_;
  torch::Dtype dtype_;
  std::map<std::string, torch::Tensor> tensors_;
  io::MetadataMap metadata_;
};

/// The temperature in a name: "attack_t005" → 0.05, "con_uv_t05" → 0.5, "t1" → 1.
inline double temperature_in(const std::string& name) {
  static const std::regex pattern(R"((?:^|_)t(\d)(\d*)(?:_|$))");
  std::smatch found;
  const bool has_one = std::regex_search(name, found, pattern);
  EXPECT_TRUE(has_one) << name << " names no temperature";
  return has_one ? std::stod(found[1].str() + "." + found[2].str()) : 1;
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

/// The fixture's value under `key`; values recorded in single precision are known to 1e-6 only.
inline void expect_recorded(const Fixture& fixture, const std::string& key, const torch::Tensor& actual,
                            double tolerance, double floor = 1) {
  const double known = fixture.is_single(key) ? std::max(tolerance, 1e-6) : tolerance;
  expect_near(actual, fixture.reference(key), known, key, floor);
}

using models::state_of;

/// Turns the module into the fixture's type and copies "param.<prefix><name>" into it. Every parameter and
/// buffer of the module must be recorded, in its shape; num_batches_tracked is not recorded anywhere.
inline void load_recorded(const Fixture& fixture, torch::nn::Module& module, const std::string& prefix = "") {
  const torch::NoGradGuard no_grad;
  module.to(fixture.dtype());
  for (auto& [name, tensor] : state_of(module)) {
    if (name.ends_with("num_batches_tracked")) continue;
    const torch::Tensor recorded = fixture.get("param." + prefix + name);
    EXPECT_EQ(tensor.sizes(), recorded.sizes()) << prefix << name;
    if (tensor.sizes() == recorded.sizes()) torch::Tensor(tensor).copy_(recorded);
  }
}

}  // namespace gauntlet::testing
