// What a job sets once, before its first tensor: the generator of weights and the number of threads.
#pragma once

#include <cstdint>

namespace gauntlet::train {

/// Seeds torch's default generators, from which modules draw their weights. All other random draws use
/// RandomStream.
void seed_weights(std::uint64_t seed);

/// Threads of one torch operation (at least 1). Results depend on the number in the last digits.
void set_threads(int n_threads);

}  // namespace gauntlet::train
