#include "worker/agent/log_reply.hpp"

#include <algorithm>

#include "core/base/log_file.hpp"
#include "core/base/text.hpp"
#include "core/proto/convert.hpp"
#include "worker/executor/outcome.hpp"

namespace gauntlet::worker {
namespace {

/// In one answer.
constexpr std::uint32_t kMaxLogBytes = 256 << 10;

Result<LogPart> read_asked(const std::filesystem::path& workdir, const proto::LogRequest& asked) {
  GAUNTLET_TRY(const JobKey key, proto::key_from_bytes(asked.key()));
  const std::filesystem::path log = attempt_log(workdir, key.hex(), asked.attempt());
  return read_log(asked.events() ? events_beside(log) : log, asked.offset(),
                  std::min(asked.max_bytes(), kMaxLogBytes));
}

}  // namespace

proto::LogReply log_reply(const std::filesystem::path& workdir, const proto::LogRequest& asked) {
  proto::LogReply reply;
  if (const Result<LogPart> part = read_asked(workdir, asked); part) {
    reply.set_data(part->bytes);
    reply.set_next_offset(part->next);
    reply.set_at_end(part->at_end);
  } else {
    reply.mutable_failure()->set_code(static_cast<std::uint32_t>(part.error().code));
    reply.mutable_failure()->set_message(valid_utf8(part.error().message));
  }
  return reply;
}

}  // namespace gauntlet::worker
