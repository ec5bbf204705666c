#include "core/train/seeding.hpp"

#include <algorithm>

#include "core/torch.hpp"

namespace gauntlet::train {

void seed_weights(std::uint64_t seed) { torch::manual_seed(seed); }

void set_threads(int n_threads) { torch::set_num_threads(std::max(n_threads, 1)); }

}  // namespace gauntlet::train
