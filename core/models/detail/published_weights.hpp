// Files with published ImageNet weights: checked by their hash, read by layer name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/models/detail/published_nets.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// What such a file holds, float32, convolution kernels [out, in, H, W].
struct PublishedWeights {
  NamedTensors layers;  ///< conv1.weight … fc7.bias; of CNN-F also mean [3, H, W]
  NamedTensors
      classifier;  ///< fc8.weight, fc8.bias of the 1000 ImageNet classes; empty when the file lacks them
  std::vector<std::string> class_names;  ///< empty when the file lacks them
};

/// imagenet-vgg-f.mat in either layout of MatConvNet: cells layers{i} with `weights` {filters, biases} or
/// with `filters` and `biases`; `averageImage` in meta.normalization or normalization; all of it at the top
/// or in a variable `net`. Kernels H x W x in x out and the mean image H x W x 3 become [out, in, H, W] and
/// [3, H, W]. Errors: kInvalid, with the file and the layer.
[[nodiscard]] Result<PublishedWeights> read_matconvnet(const std::filesystem::path& path);

/// torchvision's AlexNet state dict: .safetensors, or .pt and .pth in the zip format of PyTorch 1.6 and
/// later. Errors: kInvalid, with the file and what is wrong with it.
[[nodiscard]] Result<PublishedWeights> read_torchvision_alexnet(const std::filesystem::path& path);

/// The sizes of the network such layers make; the canvas is the mean image's, or the least one that gives fc6
/// its maps. The layers conv1 to fc7 must be there.
[[nodiscard]] NetSizes sizes_of(const NamedTensors& layers);

/// The backbone ("cnnf", "alexnet") that a weight file is for, by its name's ending.
[[nodiscard]] std::string_view backbone_of_file(const std::filesystem::path& path);

/// Reads the file as `backbone` ("cnnf", "alexnet") has it. Errors: kNotFound; kInvalid.
[[nodiscard]] Result<PublishedWeights> read_published_weights(std::string_view backbone,
                                                              const std::filesystem::path& path);

/// "imagenet-vgg-f.mat with MD5 …": the published file of a backbone, for messages.
[[nodiscard]] std::string published_file_of(std::string_view backbone);

/// Compares the file's hash with `md5`, or with the published one when `md5` is empty. Errors: kNotFound,
/// kIo; kInvalid with both hashes.
[[nodiscard]] Status check_published_file(std::string_view backbone, const std::filesystem::path& path,
                                          const std::string& md5);

/// Copies the layers into a network. Errors (kInvalid): a layer that is missing or of another shape, by name
/// with both shapes; nothing is copied then.
[[nodiscard]] Status copy_layers(const PublishedWeights& weights, PublishedNet& net,
                                 const std::filesystem::path& path);

}  // namespace gauntlet::models
