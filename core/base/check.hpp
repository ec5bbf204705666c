// GAUNTLET_CHECK: for bugs of ours only. Nothing a user, a file or a peer says may reach it.
#pragma once

namespace gauntlet {

/// Prints the broken rule with its place on stderr and aborts.
[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace gauntlet

#define GAUNTLET_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::gauntlet::check_failed(#condition, __FILE__, __LINE__))
