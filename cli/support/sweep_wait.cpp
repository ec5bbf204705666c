#include "cli/support/sweep_wait.hpp"

#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kPoll{200};
const SystemClock kClock;

}  // namespace

Result<proto::SweepStatus> sweep_in(const proto::StatusReply& status, std::uint64_t sweep_id) {
  for (const proto::SweepStatus& sweep : status.sweeps()) {
    if (sweep.sweep_id() == sweep_id) return sweep;
  }
  return fail(ErrorCode::kNotFound, "the coordinator knows no sweep {}", sweep_id);
}

bool is_over(const proto::SweepStatus& sweep) { return counts_of(sweep).open == 0; }

Status verdict_of(const proto::SweepStatus& sweep) { return verdict_of(sweep.name(), counts_of(sweep)); }

Status verdict_of(const std::string& sweep, const JobCounts& counts) {
  if (counts.failed + counts.blocked + counts.cancelled == 0) return {};
  std::string text = fmt::format("{} of sweep {} failed", count_of(counts.failed, "job"), sweep);
  if (counts.blocked > 0) text += fmt::format(", which blocks {} more", counts.blocked);
  if (counts.cancelled > 0) text += fmt::format(", {} cancelled", counts.cancelled);
  return fail(ErrorCode::kJobsFailed, "{}", text);
}

Result<proto::StatusReply> wait_for_sweep(client::Client& client, std::uint64_t sweep_id,
                                          std::optional<Milliseconds> limit, ProgressView& view) {
  const SteadyTime deadline = kClock.now() + limit.value_or(Milliseconds(0));
  while (true) {
    GAUNTLET_TRY(proto::StatusReply status, request_status(client, sweep_id));
    GAUNTLET_TRY(const proto::SweepStatus sweep, sweep_in(status, sweep_id));
    if (is_over(sweep)) {
      view.say_failures(status);
      view.finish(sweep);
      return status;
    }
    view.show(status, sweep);
    if (n_interrupts() > 0)
      return fail(ErrorCode::kInterrupted, "stopped watching; sweep {} goes on", sweep.name());
    if (limit && kClock.now() >= deadline) {
      return fail(ErrorCode::kTimedOut, "sweep {} is not done after {}: {}", sweep.name(),
                  human_duration(static_cast<double>(limit->count()) / 1000), summary_of(sweep));
    }
    pause_for(kPoll);
  }
}

}  // namespace gauntlet::cli
