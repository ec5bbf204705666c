#include "core/models/detail/published_weights.hpp"

#include <fmt/ranges.h>

#include <cmath>

#include "core/base/hash.hpp"
#include "core/base/md5.hpp"

namespace gauntlet::models {
namespace {

constexpr std::string_view kVggFMd5 = "f666c61dc968c413ef664a7e17b01144";
/// torchvision's files carry the first digits of their SHA-256 in their name.
constexpr std::string_view kAlexnetSha256Start = "7be5be79";

std::string shape_of(const torch::Tensor& tensor) {
  return fmt::format("[{}]", fmt::join(tensor.sizes(), ", "));
}

}  // namespace

std::string published_file_of(std::string_view backbone) {
  if (backbone == "cnnf") return fmt::format("imagenet-vgg-f.mat with MD5 {}", kVggFMd5);
  return fmt::format("alexnet-owt-{0}.pth with a SHA-256 that starts with {0}", kAlexnetSha256Start);
}

Status check_published_file(std::string_view backbone, const std::filesystem::path& path,
                            const std::string& md5) {
  GAUNTLET_TRY(const std::string found, md5_file(path));
  if (backbone == "cnnf" || !md5.empty()) {
    const std::string_view expected = md5.empty() ? kVggFMd5 : std::string_view(md5);
    if (found == expected) return {};
    return fail(ErrorCode::kInvalid, "{} (backbone_weights) has MD5 {}; {} has {}", path.string(), found,
                md5.empty() ? "the published imagenet-vgg-f.mat" : "the file that backbone_md5 asks for",
                expected);
  }
  GAUNTLET_TRY(const Digest digest, sha256_file(path));
  if (to_hex(digest).starts_with(kAlexnetSha256Start)) return {};
  return fail(ErrorCode::kInvalid,
              "{} (backbone_weights) has SHA-256 {}…, and the published file starts with {}; a file "
              "converted from it "
              "needs backbone_md5: {}",
              path.string(), to_hex(digest).substr(0, kAlexnetSha256Start.size()), kAlexnetSha256Start,
              found);
}

NetSizes sizes_of(const NamedTensors& layers) {
  NetSizes sizes = kAlexnetSizes;
  for (std::size_t layer = 0; layer < sizes.channels.size(); ++layer) {
    const torch::Tensor& kernel = layers.at(fmt::format("conv{}.weight", layer + 1));
    sizes.channels[layer] = kernel.size(0);
    sizes.kernels[layer] = kernel.size(2);
  }
  const torch::Tensor& fc6 = layers.at("fc6.weight");
  const std::int64_t positions = fc6.numel() / fc6.size(0) / sizes.channels.back();
  sizes.last_px = std::llround(std::sqrt(static_cast<double>(positions)));
  sizes.fc6 = fc6.size(0);
  sizes.fc7 = layers.at("fc7.weight").size(0);
  // Strides 4, 2, 2, 2 make 32 px of the picture one of the last maps, and the borders take as much again.
  sizes.canvas = layers.contains("mean") ? layers.at("mean").size(1) : 32 * (sizes.last_px + 1);
  return sizes;
}

std::string_view backbone_of_file(const std::filesystem::path& path) {
  return path.extension() == ".mat" ? "cnnf" : "alexnet";
}

Result<PublishedWeights> read_published_weights(std::string_view backbone,
                                                const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  const bool cnnf = backbone == "cnnf";
  const bool known =
      cnnf ? extension == ".mat" : extension == ".safetensors" || extension == ".pt" || extension == ".pth";
  if (!known) {
    return fail(ErrorCode::kInvalid, "{} (backbone_weights) ends in '{}'; allowed for {}: {}", path.string(),
                extension, backbone, cnnf ? ".mat" : ".safetensors, .pt, .pth");
  }
  return cnnf ? read_matconvnet(path) : read_torchvision_alexnet(path);
}

Status copy_layers(const PublishedWeights& weights, PublishedNet& net, const std::filesystem::path& path) {
  const NamedTensors state = state_of(net);
  for (const auto& [name, target] : state) {
    const auto found = weights.layers.find(name);
    if (found == weights.layers.end())
      return fail(ErrorCode::kInvalid, "{} has no '{}', which the backbone needs", path.string(), name);
    if (found->second.sizes() != target.sizes()) {
      return fail(ErrorCode::kInvalid, "'{}' of {} has shape {}; the backbone needs {}", name, path.string(),
                  shape_of(found->second), shape_of(target));
    }
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, target] : state) torch::Tensor(target).copy_(weights.layers.at(name));
  return {};
}

}  // namespace gauntlet::models
