#include "core/models/backbone_check.hpp"

#include <algorithm>

#include "core/base/md5.hpp"
#include "core/models/detail/published_nets.hpp"
#include "core/models/detail/published_weights.hpp"

namespace gauntlet::models {
namespace {

/// [3, H, W] → [1, 3, side, side] of the central square, smoothed where it is made smaller.
torch::Tensor central_square(const torch::Tensor& picture, std::int64_t side) {
  const std::int64_t least = std::min(picture.size(1), picture.size(2));
  const torch::Tensor square = picture.narrow(1, (picture.size(1) - least) / 2, least)
                                   .narrow(2, (picture.size(2) - least) / 2, least)
                                   .unsqueeze(0);
  return at::_upsample_bilinear2d_aa(square, {side, side}, /*align_corners=*/false);
}

std::shared_ptr<PublishedNet> net_for(std::string_view backbone, const NetSizes& sizes) {
  if (backbone == "cnnf") return std::make_shared<Cnnf>(sizes, /*released=*/false);
  return std::make_shared<Alexnet>(sizes);
}

Status require_all_layers(const PublishedWeights& weights, const std::filesystem::path& path) {
  for (const char* layer : {"conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"}) {
    const NamedTensors& from = std::string_view(layer) == "fc8" ? weights.classifier : weights.layers;
    if (from.contains(fmt::format("{}.weight", layer)) && from.contains(fmt::format("{}.bias", layer)))
      continue;
    return fail(ErrorCode::kInvalid, "{} has no layer '{}', without which it tells no classes", path.string(),
                layer);
  }
  return {};
}

}  // namespace

Result<std::vector<std::vector<Guess>>> guess_classes(const std::filesystem::path& path,
                                                      const std::vector<torch::Tensor>& pictures,
                                                      std::int64_t n_guesses) {
  const std::string_view backbone = backbone_of_file(path);
  GAUNTLET_TRY(const PublishedWeights weights, read_published_weights(backbone, path));
  GAUNTLET_CHECK_OK(require_all_layers(weights, path));
  const NetSizes sizes = sizes_of(weights.layers);
  const std::shared_ptr<PublishedNet> net = net_for(backbone, sizes);
  GAUNTLET_CHECK_OK(copy_layers(weights, *net, path));

  const torch::NoGradGuard no_grad;
  const torch::Tensor last = weights.classifier.at("fc8.weight").flatten(1);
  std::vector<std::vector<Guess>> all;
  for (const torch::Tensor& picture : pictures) {
    const torch::Tensor features = net->forward(central_square(picture, sizes.canvas));
    const torch::Tensor logits = torch::linear(features, last, weights.classifier.at("fc8.bias"));
    const auto [probabilities, classes] =
        torch::softmax(logits[0], 0)
            .topk(std::min(n_guesses, last.size(0)), 0, /*largest=*/true, /*sorted=*/true);
    std::vector<Guess>& guesses = all.emplace_back();
    for (std::int64_t at = 0; at < classes.size(0); ++at) {
      const auto index = classes[at].item<std::int64_t>();
      const auto named = static_cast<std::size_t>(index);
      guesses.push_back({index, probabilities[at].item<double>(),
                         named < weights.class_names.size() ? weights.class_names[named] : ""});
    }
  }
  return all;
}

Result<std::string> describe_checksum(const std::filesystem::path& path) {
  GAUNTLET_TRY(const std::string md5, md5_file(path));
  const std::string_view backbone = backbone_of_file(path);
  const bool published = check_published_file(backbone, path, "").has_value();
  return fmt::format("{} weights with MD5 {}, {} {}", backbone, md5, published ? "which is" : "not",
                     published_file_of(backbone));
}

}  // namespace gauntlet::models
