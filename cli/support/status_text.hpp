// A coordinator's status as text.
#pragma once

#include <string>

#include "schemas/protocol.pb.h"

namespace gauntlet::cli {

[[nodiscard]] std::string status_text(const proto::StatusReply& status);

}  // namespace gauntlet::cli
