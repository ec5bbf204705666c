#include "core/defenses/detail/drfgd_maps.hpp"

#include <torch/nn/functional/upsampling.h>

#include "core/defenses/detail/drfgd_passes.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

constexpr std::int64_t kLeastPlaces =
    8;  ///< 15 x 15 at 224 px, as the paper's figure, and still a map at 48 px

/// [B]: logits of the labels each input has.
Tensor score_of_labels(const Tensor& logits, const Tensor& labels) { return (logits * labels).sum(1); }

/// [B]: the |y| largest logits of each input.
Tensor score_of_prediction(const Tensor& logits, const Tensor& labels) {
  const Tensor rank = logits.detach()
                          .argsort(/*stable=*/true, 1, /*descending=*/true)
                          .argsort(std::int64_t{1}, /*descending=*/false);
  return (logits * (rank < labels.sum(1, /*keepdim=*/true)).to(logits.scalar_type())).sum(1);
}

struct Scaled {
  Tensor map, absolute;
};

/// [B, …] to [0,1] per input; magnitudes where nothing is above 0.
Scaled scaled(const Tensor& raw) {
  const Tensor flat = raw.flatten(1);
  const Tensor absolute = (flat <= 0).all(1) & (flat < 0).any(1);
  const Tensor kept = torch::where(absolute.unsqueeze(1), flat.abs(), flat.clamp_min(0));
  const Tensor low = kept.amin(1, true), high = kept.amax(1, true);
  const Tensor range = (high - low).clamp_min(1e-30);
  // A map that is the same everywhere shows nothing.
  return {((kept - low) / range).masked_fill(high <= low, 0).view(raw.sizes()), absolute};
}

/// The stage that is looked at, from 1.
Result<std::int64_t> stage_of(const std::vector<Tensor>& encoder, std::int64_t asked) {
  const auto n = static_cast<std::int64_t>(encoder.size());
  if (asked > n) {
    return fail(ErrorCode::kInvalid,
                "drfgd: stage is {}; allowed: 1 to {}, or 0 for the deepest of at least {} x {}", asked, n,
                kLeastPlaces, kLeastPlaces);
  }
  if (asked > 0) return asked;
  std::int64_t deepest = 1;
  for (std::int64_t stage = 1; stage <= n; ++stage) {
    if (encoder[static_cast<std::size_t>(stage - 1)].size(2) >= kLeastPlaces) deepest = stage;
  }
  return deepest;
}

/// `seen`: [B, K, h, w] or [B, D], what the score is a function of.
BranchMap map_of(std::string name, const Tensor& score, const Tensor& seen, at::IntArrayRef pixels) {
  const Tensor gradient = torch::autograd::grad({score.sum()}, {seen}, {}, /*retain_graph=*/true).front();
  const bool is_picture = seen.dim() == 4;
  const Tensor weighted =
      is_picture ? (gradient.mean({2, 3}, true) * seen).sum(1, /*keepdim=*/true) : gradient * seen;
  Scaled made = scaled(weighted.detach().to(torch::kFloat32));
  if (is_picture) {
    namespace nn = torch::nn::functional;
    made.map = nn::interpolate(made.map, nn::InterpolateFuncOptions()
                                             .size(std::vector<std::int64_t>{pixels[2], pixels[3]})
                                             .mode(torch::kBilinear)
                                             .align_corners(false))
                   .squeeze(1);
  }
  return {std::move(name), made.map.contiguous(), made.absolute};
}

}  // namespace

Result<BranchMaps> drfgd_maps(Generator& generator, models::Precision precision, const Tensor& own,
                              const Tensor& labels, std::int64_t stage) {
  const torch::AutoGradMode with_gradients(true);
  const Tensor input = own.detach().clone().set_requires_grad(true);
  const Generated made = generate(generator, input, Pass::kEverything, precision);
  BranchMaps maps;
  Tensor seen = input;
  if (!made.encoder.empty()) {
    GAUNTLET_TRY(maps.stage, stage_of(made.encoder, stage));
    seen = made.encoder[static_cast<std::size_t>(maps.stage - 1)];
    maps.side = seen.size(2);
  }
  const Tensor wanted = labels.to(made.logits_arf.device(), made.logits_arf.scalar_type());
  maps.branches.push_back(map_of("arf", score_of_labels(made.logits_arf, wanted), seen, input.sizes()));
  if (made.logits_avf.defined())
    maps.branches.push_back(map_of("avf", score_of_prediction(made.logits_avf, wanted), seen, input.sizes()));
  return maps;
}

}  // namespace gauntlet::defenses
