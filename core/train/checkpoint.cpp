#include "core/train/checkpoint.hpp"

#include "core/io/safetensors.hpp"
#include "core/train/tensor_types.hpp"

namespace gauntlet::train {
namespace {

Result<io::DType> file_type(const std::string& name, torch::ScalarType type) {
  if (const auto dtype = file_type_of(type)) return *dtype;
  return fail(ErrorCode::kInvalid, "tensor '{}' has a type that .safetensors files do not hold: {}", name,
              c10::toString(type));
}

Result<torch::Tensor> tensor_from(const std::string& name, const io::TensorView& view) {
  const auto type = torch_type_of(view.dtype);
  if (!type) {
    return fail(ErrorCode::kCorrupt, "tensor '{}' is of type {}, which no checkpoint has", name,
                io::name_of(view.dtype));
  }
  torch::Tensor tensor = torch::empty(view.shape, *type);
  std::ranges::copy(view.bytes, static_cast<std::byte*>(tensor.mutable_data_ptr()));
  return tensor;
}

}  // namespace

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

Result<TensorFile> load_tensor_file(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::SafeTensors file, io::read_safetensors(path));
  TensorFile loaded{.tensors = {}, .metadata = {file.metadata.begin(), file.metadata.end()}};
  for (const auto& [name, view] : file.tensors) {
    GAUNTLET_TRY(loaded.tensors[name], tensor_from(name, view));
  }
  return loaded;
}

Result<NamedTensors> load_tensors(const std::filesystem::path& path) {
  GAUNTLET_TRY(TensorFile loaded, load_tensor_file(path));
  return std::move(loaded.tensors);
}

Status save_module(const std::filesystem::path& path, const torch::nn::Module& module) {
  return save_tensors(path, state_of(module));
}

Status load_module(const std::filesystem::path& path, torch::nn::Module& module) {
  GAUNTLET_TRY(const NamedTensors tensors, load_tensors(path));
  return restore(module, tensors);
}

}  // namespace gauntlet::train
