// How an attempt ended, as the message that says so.
// Thread safety: free functions on plain values.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"
#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// Rows and curves in the order given, the manifest's hash, the environment; code 0 and no message.
[[nodiscard]] proto::Outcome outcome_of(const AttemptResult& result);
[[nodiscard]] proto::Outcome outcome_of(const Error& error);

/// Which cause a library's exception tells of, by its text, since LibTorch and NCCL throw one type for
/// everything: memory that ran out on the host or a device (kOutOfMemory), ranks that cannot talk
/// (kCollective), a device that is broken or gone (kIo: the machine's fault, not the job's); else kInternal.
[[nodiscard]] ErrorCode cause_of_exception(std::string_view text);
/// kInvalid for an outcome that does not fit a report: how much there is, what may be, the largest part.
[[nodiscard]] Status check_size(const proto::Outcome& outcome);

/// The text with every byte that is not UTF-8 replaced by '?': what libraries and logs say may be anything,
/// and a message that is not UTF-8 cannot be sent.
[[nodiscard]] std::string valid_utf8(std::string_view text);

}  // namespace gauntlet::worker
