// Defenses that can show what in an input a branch of their network looks at. A pipeline that can is found by
// a dynamic_cast, so that defenses without such branches have nothing to say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// Where one branch looks, per input.
struct BranchMap {
  std::string name;  ///< "arf", "avf"
  torch::Tensor
      map;  ///< float in [0,1]: [B, H, W] of pictures, [B, D] of texts; all 0 where there is nothing to see
  torch::Tensor absolute;  ///< [B] bool: nothing was left above 0, so magnitudes are shown
};

struct BranchMaps {
  std::vector<BranchMap> branches;  ///< those the network has
  std::int64_t stage = 0;  ///< encoder stage that was looked at, from 1; 0 of texts: the input itself
  std::int64_t side = 0;   ///< height of that stage's maps before they are scaled up; 0 of texts
};

class Explainable {
 public:
  virtual ~Explainable() = default;
  /// Gradient-weighted maps (Grad-CAM) of an encoder stage A for the score of each branch: of the robust one
  /// the logits of the input's labels, of the vulnerable one those of its own |y| most likely labels.
  /// w_k = mean over places of d score / d A_k; M = ReLU(sum_k w_k A_k), scaled to [0,1] per input. Inputs as
  /// a pipeline takes them; `labels` [B, C] 0/1; `stage` from 1, 0: the deepest of at least 8 x 8 places.
  /// Errors (kInvalid): no such stage.
  virtual Result<BranchMaps> branch_maps(Modality modality, const torch::Tensor& input,
                                         const torch::Tensor& labels, std::int64_t stage) = 0;
};

}  // namespace gauntlet::defenses
