// A short command of another program, run to its end: what it printed and how it ended.
// Thread safety: any thread; the call blocks it.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/result.hpp"

namespace gauntlet {

struct SubprocessOutput {
  int exit_code = 0;  ///< 128 + number when a signal ended it
  std::string out;    ///< at most 16 MiB; what is more is dropped
  std::string err;    ///< the same
};

/// Runs `words` (the first is looked up in PATH) with an empty stdin, in a process group of its own, which is
/// killed after `limit` and when `stop` becomes true. Whatever the program leaves running keeps nothing of
/// ours. Errors: kNotFound (no such program), kTimedOut, kInterrupted (by `stop`), kIo.
[[nodiscard]] Result<SubprocessOutput> run_subprocess(std::vector<std::string> words, Milliseconds limit,
                                                      const std::atomic<bool>* stop = nullptr);

}  // namespace gauntlet
