// Whether a file with published weights is read as it was meant: pictures of known things must be told right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// One of the classes a network was trained to tell.
struct Guess {
  std::int64_t class_index = 0;  ///< from 0, in the order of the file's last layer
  double probability = 0;
  std::string name;  ///< empty when the file has no names
};

/// The `n_guesses` most probable classes of every picture, [3, H, W] in [0,1], of which the central square is
/// looked at; most probable first. Wants a file that still has its last layer, fc8. A network whose kernels
/// or mean image were turned around gets clear photos wrong. Errors (kInvalid, kNotFound): a file that cannot
/// be read, or without that layer.
[[nodiscard]] Result<std::vector<std::vector<Guess>>> guess_classes(
    const std::filesystem::path& weights, const std::vector<torch::Tensor>& pictures,
    std::int64_t n_guesses = 5);

/// One line on the file's checksums: whether it is the published one. Errors: kNotFound, kIo.
[[nodiscard]] Result<std::string> describe_checksum(const std::filesystem::path& weights);

}  // namespace gauntlet::models
