#include "core/run/check_backbone.hpp"

#include "core/io/png.hpp"
#include "core/models/backbone_check.hpp"
#include "core/torch.hpp"

namespace gauntlet::run {

Result<std::string> check_backbone(const std::filesystem::path& weights,
                                   const std::vector<std::filesystem::path>& pictures) {
  GAUNTLET_TRY(std::string text, models::describe_checksum(weights));
  text += '\n';
  std::vector<torch::Tensor> tensors;
  for (const std::filesystem::path& path : pictures) {
    GAUNTLET_TRY(io::RgbImage image, io::read_png(path));
    const torch::Tensor bytes =
        torch::from_blob(image.pixels.data(), {image.height, image.width, 3}, torch::kUInt8);
    tensors.push_back(bytes.permute({2, 0, 1}).to(torch::kFloat32) / 255);
  }
  GAUNTLET_TRY(const auto guesses, models::guess_classes(weights, tensors));
  for (std::size_t at = 0; at < guesses.size(); ++at) {
    text += pictures[at].string() + "\n";
    for (const models::Guess& guess : guesses[at])
      text +=
          fmt::format("  {:5.1f} %  class {}  {}\n", 100 * guess.probability, guess.class_index, guess.name);
  }
  return text;
}

}  // namespace gauntlet::run
