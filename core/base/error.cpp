#include "core/base/error.hpp"

namespace gauntlet {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal:
      return "internal";
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kUnreachable:
      return "unreachable";
    case ErrorCode::kRefused:
      return "refused";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kNoSpace:
      return "no_space";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kTimedOut:
      return "timed_out";
    case ErrorCode::kOutOfMemory:
      return "out_of_memory";
    case ErrorCode::kDiverged:
      return "diverged";
    case ErrorCode::kCollective:
      return "collective";
    case ErrorCode::kProcessDied:
      return "process_died";
    case ErrorCode::kLost:
      return "lost";
    case ErrorCode::kStaleLease:
      return "stale_lease";
    case ErrorCode::kInterrupted:
      return "interrupted";
    case ErrorCode::kIncomplete:
      return "incomplete";
    case ErrorCode::kJobsFailed:
      return "jobs_failed";
  }
  return "unknown";  // a number from a newer peer
}

bool is_retryable(ErrorCode code) {
  switch (code) {
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
    case ErrorCode::kUnreachable:
    case ErrorCode::kTimedOut:
    case ErrorCode::kCorrupt:  // the damaged artifact is set aside and rebuilt
    case ErrorCode::kCollective:
    case ErrorCode::kProcessDied:
    case ErrorCode::kLost:
    case ErrorCode::kInterrupted:
      return true;
    case ErrorCode::kInternal:
    case ErrorCode::kInvalid:
    case ErrorCode::kNotFound:
    case ErrorCode::kRefused:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kDiverged:
    case ErrorCode::kStaleLease:
    case ErrorCode::kIncomplete:
    case ErrorCode::kJobsFailed:
      return false;
  }
  return false;
}

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return 2;
    case ErrorCode::kJobsFailed:
      return 3;
    case ErrorCode::kNotFound:
      return 4;
    case ErrorCode::kUnreachable:
      return 5;
    case ErrorCode::kRefused:
      return 6;
    case ErrorCode::kIncomplete:
      return 7;
    case ErrorCode::kTimedOut:
      return 8;
    case ErrorCode::kInterrupted:
      return 130;
    case ErrorCode::kInternal:
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
    case ErrorCode::kCorrupt:
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kDiverged:
    case ErrorCode::kCollective:
    case ErrorCode::kProcessDied:
    case ErrorCode::kLost:
    case ErrorCode::kStaleLease:
      return 1;
  }
  return 1;
}

}  // namespace gauntlet
