// gauntlet resume: go on with a paused sweep.
#include "cli/support/pause_switch.hpp"

namespace gauntlet::cli {
namespace {

Action declare(Arguments& arguments) { return declare_pause_switch(arguments, /*paused=*/false); }

}  // namespace

extern const Verb resume_verb;
constinit const Verb resume_verb{
    .name = "resume",
    .summary = "Go on with a paused sweep",
    .examples = "  gauntlet resume quickstart\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
