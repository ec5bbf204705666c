// Finds and kills what an executor has started and what has left its process group since (setsid, a daemon's
// double fork): every process inherits a mark in its environment. Linux's /proc is read.
// Thread safety: one thread.
#pragma once

#include <string>

namespace gauntlet::worker {

/// The name of the environment variable that carries the mark.
inline constexpr const char* kMarkVariable = "GAUNTLET_EXECUTOR";

/// The same of a whole gang behind a launcher: its ranks have a mark of their own besides.
inline constexpr const char* kGangMarkVariable = "GAUNTLET_GANG";

/// A mark no other executor of this machine has.
[[nodiscard]] std::string new_mark();

/// Kills every process with the mark, and what they fork meanwhile. Processes that have cleared their
/// environment or changed their user are not found. Costs about a millisecond per 100 processes of the
/// machine. Returns how many there were.
int kill_marked(const std::string& mark, const char* variable = kMarkVariable);

}  // namespace gauntlet::worker
