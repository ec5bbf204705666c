// A coordinator's status as text and as JSON.
#pragma once

#include <string>

#include "core/base/json.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::cli {

[[nodiscard]] std::string status_text(const proto::StatusReply& status);
/// {"format": 1, "sweeps": […], "running": […], "failed": […], "cancelled": […], "workers": […]}
[[nodiscard]] Json status_json(const proto::StatusReply& status);

/// Hexadecimal of the 32 bytes of a key.
[[nodiscard]] std::string key_hex(const std::string& bytes);

}  // namespace gauntlet::cli
