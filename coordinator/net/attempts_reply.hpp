// The attempts of a job as the message that tells of them, for the coordinator and for readers beside it.
// Thread safety: pure function.
#pragma once

#include "coordinator/store/lookup.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::coordinator {

[[nodiscard]] proto::AttemptsReply attempts_reply(const store::JobAttempts& found);

}  // namespace gauntlet::coordinator
