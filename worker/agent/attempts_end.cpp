// How attempts end: by their ranks' answers or deaths, or because somebody stops them.
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "worker/agent/attempts.hpp"
#include "worker/agent/machine.hpp"
#include "worker/executor/outcome.hpp"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {
namespace {

/// What ranks get to end by themselves, and so stay warm, after one of them failed.
constexpr std::chrono::seconds kGangPatience{2};
/// A batch system that preempts sends SIGTERM to ranks and agent alike; they hear of it in any order.
constexpr std::chrono::seconds kPreemptionPatience{1};
/// An attempt that executors do not live to begin, though it is the next, may be what they die of.
constexpr int kMostReturns = 8;
constexpr std::size_t kMaxMessageBytes = 16 << 10;
constexpr const char* kPreempted = "its process was told to end together with the worker";

/// Whether a process that reported this is better replaced: its memory or its communication may be in any
/// state.
bool spoils_process(std::uint32_t code) {
  return code == static_cast<std::uint32_t>(ErrorCode::kInternal) ||
         code == static_cast<std::uint32_t>(ErrorCode::kOutOfMemory) ||
         code == static_cast<std::uint32_t>(ErrorCode::kCollective);
}

/// Whether an executor that has died had begun an attempt, the one at this place of those in its hands. One
/// that died before it was ready did so because of the first.
bool is_begun_by(Executor& executor, std::uint64_t lease_id, std::size_t place) {
  if (!executor.board || (place == 0 && !executor.ready)) return place == 0;
  return !executor.board->take(lease_id);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void Attempts::note_leaving() {
  leaving_ = true;
  give_back_ahead({ErrorCode::kInterrupted, "the worker is leaving"},
                  std::chrono::steady_clock::time_point::max());
  for (const proto::HeldLease& lease : held()) {
    Attempt& attempt = attempts_.at(lease.lease_id());
    if (!std::exchange(attempt.maybe_preempted, false)) continue;
    attempt.verdict = Error{ErrorCode::kInterrupted, kPreempted};
    finish_if_over(lease.lease_id());
  }
}

void Attempts::await_own_signal(Attempt& attempt) {
  attempt.limit = std::make_unique<boost::asio::steady_timer>(context_, kPreemptionPatience);
  attempt.limit->async_wait([this, id = attempt.lease.lease_id()](const boost::system::error_code& error) {
    Attempt* const waiting = error ? nullptr : find(id);
    if (waiting == nullptr) return;
    waiting->maybe_preempted = false;
    finish_if_over(id);
  });
}

void Attempts::give_verdict(Attempt& attempt, Error reason) {
  // A rank that lost its peers may say so before the peer's death, the cause, is known.
  const bool only_a_symptom = attempt.verdict && attempt.verdict->code == ErrorCode::kCollective;
  if (!attempt.verdict || only_a_symptom) attempt.verdict = std::move(reason);
}

void Attempts::wait_then_end(Attempt& attempt) {
  if (attempt.stopping) return;
  attempt.limit = std::make_unique<boost::asio::steady_timer>(context_, kGangPatience);
  attempt.limit->async_wait([this, id = attempt.lease.lease_id()](const boost::system::error_code& error) {
    Attempt* const late = error ? nullptr : find(id);
    if (late != nullptr) end_ranks(*late);
  });
}

void Attempts::end_ranks(Attempt& attempt) {
  attempt.stopping = true;
  std::erase(waiting_, attempt.lease.lease_id());
  std::erase(ahead_, attempt.lease.lease_id());
  if (take_back(attempt)) return;
  for (Rank& rank : attempt.ranks) {
    Executor* const executor = rank.executor == 0 ? nullptr : pool_.find(rank.executor);
    if (executor == nullptr || executor->kind == ExecutorKind::kNoop) {
      rank.executor = 0;  // a noop is over before anything could stop it; its answer is ignored
    } else {
      pool_.end(*executor);
    }
  }
}

void Attempts::take_end(const Executor& executor, const proto::AttemptEnded& ended) {
  Attempt* const attempt = find(ended.lease_id());
  if (attempt != nullptr) {
    attempt->is_queued = false;
    for (std::size_t rank = 0; rank < attempt->ranks.size(); ++rank) {
      if (attempt->ranks[rank].executor != executor.id) continue;
      attempt->ranks[rank] = {0, ended.outcome()};
      if (ended.outcome().code() != 0) {
        const auto& damaged = ended.outcome().damaged_inputs();
        attempt->damaged_inputs.insert(damaged.begin(), damaged.end());
        give_verdict(*attempt, {static_cast<ErrorCode>(ended.outcome().code()), ended.outcome().message()});
        wait_then_end(*attempt);
      }
    }
  }
  if (executor.launched) {
    if (Executor* const spent = pool_.find(executor.id)) pool_.retire(*spent);
  } else if (spoils_process(ended.outcome().code()) && executor.kind == ExecutorKind::kRank) {
    if (Executor* const spoiled = pool_.find(executor.id)) pool_.end(*spoiled);
  }
  begin_next(executor, ended.lease_id());
  finish_if_over(ended.lease_id());
  run_waiting();
  run_ahead();
}

Error Attempts::cause_of_death(const Attempt& attempt, const Executor& executor, std::size_t rank,
                               const Ending& ending) {
  std::string message =
      fmt::format("{} (rank {} of {}) died: {}{}",
                  executor.kind == ExecutorKind::kRank ? "gauntlet-rank" : "gauntlet executor", rank,
                  attempt.ranks.size(), describe(ending),
                  executor.ready || executor.launched ? "" : " before it was ready");
  ErrorCode cause = ErrorCode::kProcessDied;
  // The kernel tells nobody whom it killed for want of memory; that it killed somebody, it counts.
  const std::uint64_t known = std::max(attempt.oom_kills, oom_kills_);
  if (ending.signal == SIGKILL && executor.kind != ExecutorKind::kNoop && !executor.launched &&
      oom_kills(settings_.system_root) > known) {
    oom_kills_ = known + 1;
    cause = ErrorCode::kOutOfMemory;
    message += "; the machine ran out of memory and the kernel chose this process";
  }
  const std::string tail = log_tail(settings_.workdir / attempt.log);
  if (!tail.empty()) message += fmt::format("; its log ends with:\n{}", tail);
  return {cause, std::move(message)};
}

void Attempts::take_death(Executor& executor, const Ending& ending) {
  std::vector<std::uint64_t> not_begun;
  const std::deque<std::uint64_t> leases = executor.leases;
  for (std::size_t place = 0; place < leases.size(); ++place) {
    Attempt* const attempt = find(leases[place]);
    if (attempt == nullptr) continue;
    const auto rank = std::find_if(attempt->ranks.begin(), attempt->ranks.end(),
                                   [&](const Rank& r) { return r.executor == executor.id; });
    if (rank == attempt->ranks.end()) continue;
    rank->executor = 0;
    attempt->is_queued = false;
    const bool is_begun = attempt->ranks.size() > 1 || is_begun_by(executor, leases[place], place);
    if (!is_begun && !attempt->stopping && runs_again(*attempt, place == 0)) {
      not_begun.push_back(leases[place]);
      continue;
    }
    if (!attempt->stopping)
      take_death_of(*attempt, static_cast<std::size_t>(rank - attempt->ranks.begin()), executor, ending);
    finish_if_over(leases[place]);
  }
  wait_again(not_begun);
  run_waiting();
  run_ahead();
}

/// Whether one that its executor had not begun is begun elsewhere. A worker that leaves begins nothing.
bool Attempts::runs_again(Attempt& attempt, bool was_next) {
  if (leaving_) give_verdict(attempt, {ErrorCode::kInterrupted, "the worker is leaving"});
  if (was_next) ++attempt.n_returns;
  return !leaving_ && attempt.n_returns <= kMostReturns;
}

/// Of an attempt that the executor had begun.
void Attempts::take_death_of(Attempt& attempt, std::size_t rank, const Executor& executor,
                             const Ending& ending) {
  const bool by_request = ending.signal == SIGTERM && executor.kind != ExecutorKind::kNoop;
  if (by_request && leaving_) {
    give_verdict(attempt, {ErrorCode::kInterrupted, kPreempted});
  } else {
    give_verdict(attempt, cause_of_death(attempt, executor, rank, ending));
    attempt.maybe_preempted = by_request;
  }
  end_ranks(attempt);
}

void Attempts::finish_if_over(std::uint64_t lease_id) {
  Attempt* const attempt = find(lease_id);
  if (attempt == nullptr) return;
  const bool waits = std::find(waiting_.begin(), waiting_.end(), lease_id) != waiting_.end() ||
                     std::find(ahead_.begin(), ahead_.end(), lease_id) != ahead_.end();
  const bool runs = std::any_of(attempt->ranks.begin(), attempt->ranks.end(),
                                [](const Rank& rank) { return rank.executor != 0; });
  if (waits || runs) return;
  if (attempt->maybe_preempted && attempt->wanted) return await_own_signal(*attempt);
  Attempt over = std::move(*attempt);
  attempts_.erase(lease_id);
  finish(std::move(over));
}

void Attempts::finish(Attempt attempt) {
  places_.release(attempt.lease.lease_id());
  cpus_in_use_ -= attempt.cpus;
  if (attempt.ranks.size() > 1) {
    std::error_code ignored;
    std::filesystem::remove_all(rendezvous_of(attempt), ignored);
  }
  if (!attempt.wanted) return;
  proto::Report report;
  report.set_job_id(attempt.lease.job_id());
  report.set_lease_id(attempt.lease.lease_id());
  report.set_attempt(attempt.lease.attempt());
  if (attempt.verdict) {
    if (attempt.verdict->message.size() > kMaxMessageBytes) attempt.verdict->message.resize(kMaxMessageBytes);
    *report.mutable_outcome() = outcome_of(*attempt.verdict);
    report.mutable_outcome()->set_wall_s(seconds_since(attempt.started));
    for (const std::string& key : attempt.damaged_inputs) report.mutable_outcome()->add_damaged_inputs(key);
    spdlog::warn("{}: {}", attempt.lease.title(), attempt.verdict->message);
  } else {
    *report.mutable_outcome() = std::move(*attempt.ranks.front().outcome);
  }
  std::error_code ignored;
  if (attempt.kind != spec::JobKind::kNoop &&
      std::filesystem::exists(settings_.workdir / attempt.log, ignored)) {
    report.mutable_outcome()->set_log(attempt.log.string());
  }
  on_report_(std::move(report));
}

}  // namespace gauntlet::worker
