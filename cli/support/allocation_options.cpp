#include "cli/support/allocation_options.hpp"

#include "core/spec/job_spec.hpp"

namespace gauntlet::cli {

void AllocationOptions::add_to(Arguments& arguments) {
  arguments.add_option("--partition,--queue", spec.partition,
                       "Partition (Slurm) or queue (PBS) (default: the site's)");
  arguments.add_option("--time", time, "Time limit of an allocation: 90m, 4h, 2d").type_name("TIME");
  arguments.add_option("--nodes", spec.nodes, "Nodes of an allocation, each with one agent (default: 1)")
      .number_between(1, 100'000);
  arguments.add_option("--gpus", spec.gpus, "GPUs per node (default: none)").number_between(0, 64);
  arguments.add_option("--memory-mb", spec.memory_mb, "Memory per node (default: what the site gives)")
      .number_between(1, 1 << 30);
  arguments.add_option("extra", spec.extra,
                       "After `--`: further arguments of sbatch or qsub, such as --account=NAME");
}

Result<std::int64_t> seconds_of(const std::string& option, const std::string& text, std::int64_t fallback) {
  if (text.empty()) return fallback;
  Result<std::int64_t> seconds = spec::duration_s_from(text);
  if (!seconds) return fail(ErrorCode::kInvalid, "{}: {}", option, seconds.error().message);
  return seconds;
}

Result<alloc::QueueSpec> AllocationOptions::read() const {
  if (time.empty()) {
    return fail(ErrorCode::kInvalid,
                "--time is missing: an allocation needs a time limit, such as --time 4h");
  }
  alloc::QueueSpec read = spec;
  GAUNTLET_TRY(read.time_s, seconds_of("--time", time, 0));
  if (read.time_s < 60)
    return fail(ErrorCode::kInvalid, "--time: {} is too short for an allocation; at least 1m is needed",
                time);
  GAUNTLET_CHECK_OK(alloc::check(read));
  return read;
}

}  // namespace gauntlet::cli
