// gauntlet pause: let running jobs of a sweep end and start no more of it.
#include "cli/support/pause_switch.hpp"

namespace gauntlet::cli {
namespace {

Action declare(Arguments& arguments) { return declare_pause_switch(arguments, /*paused=*/true); }

}  // namespace

extern const Verb pause_verb;
constinit const Verb pause_verb{
    .name = "pause",
    .summary = "Let running jobs of a sweep end and start no more of it",
    .examples = "  gauntlet pause quickstart\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
