#include "core/models/precision.hpp"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

namespace gauntlet::models {

PrecisionScope::PrecisionScope(Precision precision, torch::DeviceType device)
    : device_(device),
      had_autocast_(at::autocast::is_autocast_enabled(device)),
      had_type_(at::autocast::get_autocast_dtype(device)),
      had_tf32_products_(at::globalContext().allowTF32CuBLAS()),
      had_tf32_convolutions_(at::globalContext().allowTF32CuDNN()) {
  const bool tf32 = precision == Precision::kTf32;
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);
  at::autocast::set_autocast_enabled(device_, precision == Precision::kBf16);
  if (precision == Precision::kBf16) at::autocast::set_autocast_dtype(device_, torch::kBFloat16);
}

PrecisionScope::~PrecisionScope() {
  at::autocast::clear_cache();
  at::autocast::set_autocast_dtype(device_, had_type_);
  at::autocast::set_autocast_enabled(device_, had_autocast_);
  at::globalContext().setAllowTF32CuBLAS(had_tf32_products_);
  at::globalContext().setAllowTF32CuDNN(had_tf32_convolutions_);
}

}  // namespace gauntlet::models
