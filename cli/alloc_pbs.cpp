// gauntlet alloc pbs add: PBS allocations, asked for while work waits that would fit.
#include "cli/support/alloc_add.hpp"

namespace gauntlet::cli {

extern const Verb alloc_pbs_verb;
constinit const Verb alloc_pbs_verb{
    .name = "alloc pbs",
    .summary = "add: the same for PBS (tested against programs that print what PBS prints, not on a PBS)",
    .examples =
        "  gauntlet alloc pbs add --queue gpu --time 4h --gpus 4 --cpus 32 --max 8\n"
        "  gauntlet alloc pbs add --time 1h --cpus 16 --dry-run -- -A project\n",
    .declare = [](Arguments& arguments) { return declare_alloc_add(arguments, "pbs"); },
};

}  // namespace gauntlet::cli
