// The log of an attempt as a file that somebody appends to while others read it and bound it.
// Thread safety: free functions; any process may read while one appends and one limits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet {

/// Where an attempt's log is in a work folder: logs/<key>/<attempt>.log; its events are beside it.
/// `key_hex`: 64 digits.
[[nodiscard]] std::filesystem::path attempt_log(const std::filesystem::path& workdir,
                                                std::string_view key_hex, std::uint64_t attempt);
/// One JSON object per line: what the attempt told of itself.
[[nodiscard]] std::filesystem::path events_beside(const std::filesystem::path& log);

/// A part of a log.
struct LogPart {
  std::string bytes;
  std::uint64_t next = 0;  ///< offset to go on from
  bool at_end = false;     ///< nothing more was there
};

/// At most `max_bytes` from `offset` on. What limit_log has freed is passed over; an offset beyond the end
/// (the log was cut) goes on at the end. Errors: kNotFound (no such file), kIo.
[[nodiscard]] Result<LogPart> read_log(const std::filesystem::path& log, std::uint64_t offset,
                                       std::size_t max_bytes);

/// Frees the middle of a log that occupies more than `limit_bytes` (at least 1 MiB counts): a quarter of that
/// stays of its beginning, half of its end, and a line between them that says what is gone. Offsets stay as
/// they are, and whoever appends need not know. Where the file system cannot free a part of a file, all after
/// the beginning goes. Returns whether anything was freed. Errors: kIo, kNoSpace, with the path.
[[nodiscard]] Result<bool> limit_log(const std::filesystem::path& log, std::uint64_t limit_bytes);

}  // namespace gauntlet
