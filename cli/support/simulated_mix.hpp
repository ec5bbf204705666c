// What users of a large cluster submit: studies of a few models each, with what their defenses and attacks
// need. Thread safety: plain values.
#pragma once

#include <array>
#include <cstdint>

#include "coordinator/store/job_store.hpp"
#include "core/base/random.hpp"

namespace gauntlet::cli {

/// Mean hours of an attempt by kind of job, paper-sized studies; 0 = no such jobs.
using MeanHours = std::array<double, spec::kJobKindCount>;
[[nodiscard]] MeanHours default_hours();

/// One study: 1 to 11 models, each trained, attacked and defended twice, everything evaluated. Trainings are
/// gangs of 1, 2, 4 or 8 GPUs of one node (50, 25, 15, 10 %), at most `gpus_per_node`. `number` makes its
/// keys its own.
[[nodiscard]] store::Submission simulated_study(std::uint64_t number, std::int64_t gpus_per_node,
                                                RandomStream& random);

/// GPU hours of an average study.
[[nodiscard]] double mean_gpu_hours(const MeanHours& hours, std::int64_t gpus_per_node);

}  // namespace gauntlet::cli
