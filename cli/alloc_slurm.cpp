// gauntlet alloc slurm add: Slurm allocations, asked for while work waits that would fit.
#include "cli/support/alloc_add.hpp"

namespace gauntlet::cli {

extern const Verb alloc_slurm_verb;
constinit const Verb alloc_slurm_verb{
    .name = "alloc slurm",
    .summary = "add: keep Slurm allocations alive while work waits, and let them go",
    .examples =
        "  gauntlet alloc slurm add --partition gpu --time 4h --gpus 4 --cpus 32 --max 8\n"
        "  gauntlet alloc slurm add --partition cpu --time 1h --cpus 16 --dry-run\n"
        "  gauntlet alloc slurm add --time 1h -- --account=a123 --qos=low\n",
    .declare = [](Arguments& arguments) { return declare_alloc_add(arguments, "slurm"); },
};

}  // namespace gauntlet::cli
