// `gauntlet bench ddp`: how much of a second rank's time arrives as throughput.
#pragma once

#include <functional>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::run {

struct DdpBench {
  bool quick = false;     ///< a third of the repetitions
  std::string loop = {};  ///< cpah, dadh, daph, dcmh or drfgd; "": all of them
  /// Told before each figure: what is measured now.
  std::function<void(const std::string&)> on_figure;
};

/// Training loops over noise in the sizes of picto_scenes at the entries' own batch sizes, one thread a
/// process: on one rank, on two that share each batch over shared memory, and beside it on two processes that
/// know nothing of each other; in turns, medians over repetitions. {"<name>_1_pairs_per_s",
/// "<name>_2_pairs_per_s"; "ddp_efficiency_2_<name>": the second over twice the first;
/// "ddp_cpu_efficiency_2_<name>": processor time per pair of one rank over that of both together, which a
/// busy machine distorts less and which sees no sleep; "independent_half_batch_efficiency_2_<name>" (and
/// "…_cpu_…"): the same of two trainings at half the batch, as much work per process as ranks have;
/// "independent_whole_batch_efficiency_2_<name>": of two at the whole batch, what two processes at once cost
/// each other; "ddp_of_independent_half_batch_2_<name>" and "…_whole_batch_…": pairs per second of the ranks
/// over those of the two}. Processes are forks of this one, which must not have computed anything yet.
/// Errors: kInvalid for another loop; those of an entry that cannot be built with its own defaults; a process
/// that ends badly.
[[nodiscard]] Result<Json> bench_ddp(const DdpBench& bench);

}  // namespace gauntlet::run
