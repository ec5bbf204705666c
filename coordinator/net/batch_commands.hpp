// The commands of batch systems, run: one submission, one listing, one cancellation, each within a time
// limit. Blocking; not for the io_context's thread. Thread safety: any thread.
#pragma once

#include <atomic>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "coordinator/alloc/batch_system.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

/// Writes the script and asks the batch system whether it would take it. Errors: kInvalid (it would not: its
/// words, and the names of partitions where there is no such), kNotFound (its programs are not here),
/// kTimedOut. A system that cannot tell takes everything.
[[nodiscard]] Status try_submission(const alloc::QueueSpec& spec, const std::filesystem::path& script,
                                    const std::string& text, const std::atomic<bool>* stop = nullptr);

/// Writes the script and hands it in; the batch system's id. Errors: kInvalid (refused, in its words),
/// kNotFound, kIo (nothing was handed in); kTimedOut, kInterrupted, kCorrupt (it may have been).
[[nodiscard]] Result<std::string> submit_script(const alloc::QueueSpec& spec,
                                                const std::filesystem::path& script, const std::string& text,
                                                const std::atomic<bool>* stop = nullptr);

/// This user's jobs and those with the ids. Errors: kIo (the words of the command), kTimedOut, kCorrupt,
/// kNotFound.
[[nodiscard]] Result<std::vector<alloc::BatchJob>> list_jobs(const std::string& system,
                                                             std::span<const std::string> ids,
                                                             const std::atomic<bool>* stop = nullptr);

/// Errors: kIo (the words of the command), kTimedOut, kNotFound.
[[nodiscard]] Status cancel_jobs(const std::string& system, std::span<const std::string> ids,
                                 const std::atomic<bool>* stop = nullptr);

}  // namespace gauntlet::coordinator
