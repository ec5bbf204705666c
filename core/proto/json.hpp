// Answers of a coordinator as JSON, for programs and for the page.
#pragma once

#include <string>

#include "core/base/json.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::proto {

/// Hexadecimal of the 32 bytes of a key.
[[nodiscard]] std::string key_hex(const std::string& bytes);

/// {"format": 1, "sweeps": […], "running": […], "failed": […], "cancelled": […], "workers": […]}
[[nodiscard]] Json status_json(const StatusReply& status);
/// {"format": 1, "key", "kind", "title", "state", "reasons": […]}
[[nodiscard]] Json explain_json(const ExplainReply& reply);
/// {"format": 1, "key", "kind", "title", "state", "attempts": […]}
[[nodiscard]] Json attempts_json(const AttemptsReply& reply);

}  // namespace gauntlet::proto
