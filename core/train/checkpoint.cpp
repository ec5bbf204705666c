#include "core/train/checkpoint.hpp"

#include "core/io/safetensors.hpp"

namespace gauntlet::train {
namespace {

constexpr std::pair<torch::ScalarType, io::DType> kTypes[] = {
    {torch::kFloat32, io::DType::kF32},  {torch::kFloat64, io::DType::kF64},
    {torch::kInt64, io::DType::kI64},    {torch::kInt32, io::DType::kI32},
    {torch::kInt8, io::DType::kI8},      {torch::kUInt8, io::DType::kU8},
    {torch::kBool, io::DType::kBool},    {torch::kFloat16, io::DType::kF16},
    {torch::kBFloat16, io::DType::kBF16}};

Result<io::DType> file_type(const std::string& name, torch::ScalarType type) {
  for (const auto& [torch_type, dtype] : kTypes) {
    if (torch_type == type) return dtype;
  }
  return fail(ErrorCode::kInvalid, "tensor '{}' has a type that .safetensors files do not hold: {}", name,
              c10::toString(type));
}

Result<torch::Tensor> tensor_from(const std::string& name, const io::TensorView& view) {
  for (const auto& [type, dtype] : kTypes) {
    if (dtype != view.dtype) continue;
    torch::Tensor tensor = torch::empty(view.shape, type);
    std::ranges::copy(view.bytes, static_cast<std::byte*>(tensor.mutable_data_ptr()));
    return tensor;
  }
  return fail(ErrorCode::kCorrupt, "tensor '{}' is of type {}, which no checkpoint has", name,
              io::name_of(view.dtype));
}

std::string shape_of(const torch::Tensor& tensor) {
  return io::shape_text({tensor.sizes().data(), tensor.sizes().size()});
}

}  // namespace

NamedTensors state_of(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& parameter : module.named_parameters()) state[parameter.key()] = parameter.value().detach();
  for (const auto& buffer : module.named_buffers()) state[buffer.key()] = buffer.value().detach();
  return state;
}

Status save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                    const std::map<std::string, std::string>& metadata) {
  NamedTensors kept;  // owns the bytes that `views` looks at
  io::TensorMap views;
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor dense = kept[name] = tensor.detach().cpu().contiguous();
    GAUNTLET_TRY(const io::DType dtype, file_type(name, dense.scalar_type()));
    const auto* bytes = static_cast<const std::byte*>(dense.const_data_ptr());
    views[name] = {dtype, dense.sizes().vec(), {bytes, dense.nbytes()}};
  }
  return io::write_safetensors(path, views, {metadata.begin(), metadata.end()});
}

Result<NamedTensors> load_tensors(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::SafeTensors file, io::read_safetensors(path));
  NamedTensors tensors;
  for (const auto& [name, view] : file.tensors) {
    GAUNTLET_TRY(tensors[name], tensor_from(name, view));
  }
  return tensors;
}

Status restore(torch::nn::Module& module, const NamedTensors& tensors) {
  const NamedTensors state = state_of(module);
  for (const auto& [name, target] : state) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return fail(ErrorCode::kCorrupt, "the checkpoint has no tensor '{}'", name);
    if (found->second.sizes() != target.sizes()) {
      return fail(ErrorCode::kCorrupt, "tensor '{}' of the checkpoint has shape {}; the model needs {}", name,
                  shape_of(found->second), shape_of(target));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!state.contains(name)) {
      return fail(ErrorCode::kCorrupt, "the checkpoint has a tensor '{}' that the model does not know", name);
    }
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, target] : state) torch::Tensor(target).copy_(tensors.at(name));
  return {};
}

Status save_module(const std::filesystem::path& path, const torch::nn::Module& module) {
  return save_tensors(path, state_of(module));
}

Status load_module(const std::filesystem::path& path, torch::nn::Module& module) {
  GAUNTLET_TRY(const NamedTensors tensors, load_tensors(path));
  return restore(module, tensors);
}

}  // namespace gauntlet::train
