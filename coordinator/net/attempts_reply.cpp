#include "coordinator/net/attempts_reply.hpp"

#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {

proto::AttemptsReply attempts_reply(const store::JobAttempts& found) {
  proto::AttemptsReply reply;
  reply.set_key(proto::key_bytes(found.job.key));
  reply.set_kind(std::string(spec::name_of(found.job.kind)));
  reply.set_title(found.job.title);
  reply.set_state(std::string(engine::name_of(found.job.state)));
  for (const store::AttemptRow& row : found.attempts) {
    proto::AttemptStatus& status = *reply.add_attempts();
    status.set_attempt(row.attempt.value);
    status.set_outcome(row.outcome);
    status.set_worker(row.worker_name);
    status.set_message(row.message);
    status.set_log(row.log);
    status.set_started_ms(row.started_ms);
    status.set_ended_ms(row.ended_ms);
    status.set_wall_s(row.wall_s);
    status.set_superseded(&row != &found.attempts.back());
  }
  return reply;
}

}  // namespace gauntlet::coordinator
