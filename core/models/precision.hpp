// Lower precision inside generators and discriminators; losses stay in float32.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/fields.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

enum class Precision : std::uint8_t {
  kFp32,
  kTf32,  ///< float32 with 10-bit mantissas inside products; GPUs only, elsewhere the same as fp32
  kBf16,  ///< products and convolutions in bfloat16 by autocast
};

/// The field `precision` of an entry; part of its key, since it changes numbers.
struct PrecisionConfig {
  std::string precision = "fp32";

  static void fields(auto& self, auto& visit) {
    visit("precision", self.precision,
          {.doc = "Arithmetic of the networks this method trains: fp32; tf32 or bf16 are faster on GPUs and "
                  "change the "
                  "numbers. Losses and the target model are always fp32.",
           .choices = {"fp32", "tf32", "bf16"}});
  }
  [[nodiscard]] Precision value() const {
    if (precision == "tf32") return Precision::kTf32;
    return precision == "bf16" ? Precision::kBf16 : Precision::kFp32;
  }
};

/// Arithmetic of the forward passes made while it lives, on this thread and device type; the former one comes
/// back after. Outputs made under kBf16 are bfloat16 where the last operation was a product: convert them
/// before a loss.
class PrecisionScope {
 public:
  PrecisionScope(Precision precision, torch::DeviceType device);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  torch::DeviceType device_;
  bool had_autocast_;
  torch::ScalarType had_type_;
  bool had_tf32_products_, had_tf32_convolutions_;
};

}  // namespace gauntlet::models
