// Errors as values: what the world may answer instead of what was asked for.
// Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gauntlet {

/// Why something did not happen. The numbers are stored with failed attempts and never change meaning.
enum class ErrorCode : std::uint8_t {
  kInternal = 1,      ///< a bug, or a library that threw where nothing should
  kInvalid = 2,       ///< something a user typed or a file says is wrong
  kNotFound = 3,      ///< no such file, job, entry, package
  kUnreachable = 4,   ///< no coordinator answers
  kRefused = 5,       ///< authentication, a lock, a network file system
  kIo = 6,            ///< the disk or a socket said no
  kNoSpace = 7,       ///< the disk is full
  kCorrupt = 8,       ///< bytes do not match their hash, header or schema
  kTimedOut = 9,      ///< a deadline passed
  kOutOfMemory = 10,  ///< host or device memory
  kDiverged = 11,     ///< a loss became NaN or infinite
  kCollective = 12,   ///< communication between ranks failed
  kProcessDied = 13,  ///< an executor or rank ended by a signal or without a report
  kLost = 14,         ///< the worker holding the lease disappeared
  kStaleLease = 15,   ///< a report of an attempt that is no longer current
  kInterrupted = 16,  ///< asked to stop
  kIncomplete = 17,   ///< a table misses cells
  kJobsFailed = 18,   ///< waited-for jobs failed
};

/// Stable lower-case name, e.g. "out_of_memory".
[[nodiscard]] std::string_view name_of(ErrorCode code);

/// Whether running the same job again, unchanged, can succeed.
[[nodiscard]] bool is_retryable(ErrorCode code);

/// Process exit code of the command line for this error (the product's table: 0, 1 to 8, 130).
[[nodiscard]] int exit_code_of(ErrorCode code);

/// One refusal: a code for programs and one sentence for people (what was wrong, the value seen, what is
/// allowed).
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

}  // namespace gauntlet
