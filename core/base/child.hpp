// Starts a program in a process group of its own that dies with this process.
// Thread safety: start_child may be called by any thread; the program dies when that thread does.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace gauntlet {

using Variables = std::vector<std::pair<std::string, std::string>>;  ///< names, values

/// This process's environment without the variables that `ours` has, then `ours`.
[[nodiscard]] Variables environment_with(const Variables& ours);

/// What is started. Everything borrowed needs to live during the call only.
struct ChildStart {
  std::string program;                        ///< a path; nothing is searched
  std::vector<std::string> arguments;         ///< the first is the program's own name
  std::optional<Variables> environment = {};  ///< all of it; else this process's, which nobody may change
  std::string folder = {};                    ///< to start in; "" = this process's
  std::optional<int> output = {};   ///< for stdout and stderr; else those of this process. stdin is empty
  std::vector<int> inherited = {};  ///< descriptors it gets under the same numbers; all others are closed
  int death_signal = SIGKILL;       ///< what it gets when the calling thread ends
  std::vector<int> default_signals = {SIGPIPE};  ///< besides, no signal is blocked
  std::vector<std::pair<__rlimit_resource, std::uint64_t>> limits = {};
};

/// The process, which leads its group, once the program runs; or the errno of what could not be done.
[[nodiscard]] tl::expected<pid_t, int> start_child(const ChildStart& start);

}  // namespace gauntlet
