#include <array>

#include "core/io/safetensors.hpp"
#include "core/models/detail/published_weights.hpp"
#include "core/models/detail/state_dict.hpp"

namespace gauntlet::models {
namespace {

struct LayerName {
  std::string_view theirs, ours;
};
constexpr std::array<LayerName, 8> kAlexnetLayers = {{{"features.0", "conv1"},
                                                      {"features.3", "conv2"},
                                                      {"features.6", "conv3"},
                                                      {"features.8", "conv4"},
                                                      {"features.10", "conv5"},
                                                      {"classifier.1", "fc6"},
                                                      {"classifier.4", "fc7"},
                                                      {"classifier.6", "fc8"}}};

Result<NamedTensors> read_safe(const std::filesystem::path& path) {
  GAUNTLET_TRY(const io::SafeTensors file, io::read_safetensors(path));
  NamedTensors tensors;
  for (const auto& [name, view] : file.tensors) {
    if (view.dtype != io::DType::kF32) {
      return fail(ErrorCode::kInvalid, "'{}' of {} holds {}; allowed: {}", name, path.string(),
                  io::name_of(view.dtype), io::name_of(io::DType::kF32));
    }
    torch::Tensor tensor = torch::empty(view.shape, torch::kFloat32);
    std::ranges::copy(view.bytes, static_cast<std::byte*>(tensor.mutable_data_ptr()));
    tensors.emplace(name, std::move(tensor));
  }
  return tensors;
}

}  // namespace

Result<PublishedWeights> read_torchvision_alexnet(const std::filesystem::path& path) {
  GAUNTLET_TRY(const NamedTensors tensors,
               path.extension() == ".safetensors" ? read_safe(path) : read_state_dict(path));
  PublishedWeights weights;
  for (const auto& [theirs, ours] : kAlexnetLayers) {
    for (const char* part : {".weight", ".bias"}) {
      const auto found = tensors.find(std::string(theirs) + part);
      if (found == tensors.end()) continue;
      NamedTensors& to = ours == "fc8" ? weights.classifier : weights.layers;
      to[std::string(ours) + part] = found->second;
    }
  }
  return weights;
}

}  // namespace gauntlet::models
