// Why a job is where it is, and when a sweep may be finished; read-only questions to the state.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// How a sentence names a job, e.g. "train_model cpah 32 bits seed 1 (3f2a…)".
using JobNamer = std::function<std::string(JobId)>;

/// The other jobs that explain() will name.
[[nodiscard]] std::vector<JobId> mentioned_jobs(const State& state, JobId id);

/// Sentences, the most important first; never empty.
[[nodiscard]] std::vector<std::string> explain(const State& state, JobId id, const Now& now,
                                               const JobNamer& name_of_job);

/// Seconds until the sweep's waiting, queued and leased jobs are done: their number by kind, times the mean
/// duration of finished jobs of the kind (of all kinds where none has finished), over the leases running now
/// (of those that workers hold, the share that they have cpus for: the rest was leased ahead). 0 when nothing
/// is left, negative when nothing is known yet.
[[nodiscard]] double eta_s(const State& state, const Sweep& sweep);

}  // namespace gauntlet::engine
