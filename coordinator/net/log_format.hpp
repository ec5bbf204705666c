// How lines of a long-running process's log look: for people, or for programs that collect logs.
// Thread safety: pure functions; spdlog calls a formatter under its sink's lock.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/base/result.hpp"

namespace spdlog {
class formatter;
}

namespace gauntlet::coordinator {

enum class LogFormat : std::uint8_t {
  kText,  ///< "2026-01-31T12:00:00.123 info joined as worker 1", in local time
  kJson,  ///< {"at":"2026-01-31T12:00:00.123Z","level":"info","program":"worker","message":"joined as worker
          ///< 1"}
};

/// "text" or "json". Errors (kInvalid): anything else.
[[nodiscard]] Result<LogFormat> log_format_from(std::string_view name);

/// `program`: "coordinator", "worker"; named in JSON only. In JSON every line is one object, whatever the
/// message holds: line breaks are escaped, bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::unique_ptr<spdlog::formatter> log_formatter(LogFormat format, std::string_view program);

}  // namespace gauntlet::coordinator
