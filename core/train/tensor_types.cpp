#include "core/train/tensor_types.hpp"

namespace gauntlet::train {
namespace {

constexpr std::pair<torch::ScalarType, io::DType> kTypes[] = {
    {torch::kFloat32, io::DType::kF32}, {torch::kFloat64, io::DType::kF64},
    {torch::kInt64, io::DType::kI64},   {torch::kInt32, io::DType::kI32},
    {torch::kInt16, io::DType::kI16},   {torch::kInt8, io::DType::kI8},
    {torch::kUInt8, io::DType::kU8},    {torch::kBool, io::DType::kBool},
    {torch::kFloat16, io::DType::kF16}, {torch::kBFloat16, io::DType::kBF16}};

}  // namespace

std::optional<torch::ScalarType> torch_type_of(io::DType dtype) {
  for (const auto& [type, in_file] : kTypes) {
    if (in_file == dtype) return type;
  }
  return std::nullopt;
}

std::optional<io::DType> file_type_of(torch::ScalarType type) {
  for (const auto& [torch_type, in_file] : kTypes) {
    if (torch_type == type) return in_file;
  }
  return std::nullopt;
}

}  // namespace gauntlet::train
