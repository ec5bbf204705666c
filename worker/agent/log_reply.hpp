// What a worker answers when somebody reads the log of one of its attempts. Thread safety: any thread.
#pragma once

#include <filesystem>

#include "schemas/protocol.pb.h"

namespace gauntlet::worker {

/// The part that is asked for, at most 256 KiB, of the log or of the events beside it, below the work folder;
/// or why it cannot be read.
[[nodiscard]] proto::LogReply log_reply(const std::filesystem::path& workdir, const proto::LogRequest& asked);

}  // namespace gauntlet::worker
