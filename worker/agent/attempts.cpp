#include "worker/agent/attempts.hpp"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/files.hpp"
#include "core/base/log_file.hpp"
#include "core/base/text.hpp"
#include "core/proto/convert.hpp"
#include "worker/agent/machine.hpp"
#include "worker/executor/outcome.hpp"
#include "worker/executor/shared_queries.hpp"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {
namespace {

/// Executors that noops which take time may occupy, at least.
constexpr std::size_t kLeastSleepers = 2;
/// Jobs that are over in a moment follow each other; the count of kills is read once for all of them.
constexpr std::chrono::milliseconds kOomKillsHold{20};

/// Relative to the work folder.
std::filesystem::path log_of(const proto::Lease& lease) {
  const Result<JobKey> key = proto::key_from_bytes(lease.key());
  const std::string folder = key ? key->hex() : fmt::format("lease-{}", lease.lease_id());
  return attempt_log("", folder, lease.attempt());
}

bool takes_no_time(const spec::JobSpec& job) {
  return job.kind == spec::JobKind::kNoop && job.config.value("ms", Json(0)) == 0;
}

/// A folder through which light ranks share.
Status make_empty(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  return make_directories(folder);
}

}  // namespace

Attempts::Attempts(boost::asio::io_context& context, AttemptSettings settings,
                   ExecutorPool::Programs programs, OnReport on_report)
    : context_(context),
      settings_(std::move(settings)),
      pool_(context, std::move(programs)),
      places_(settings_.nodes),
      on_report_(std::move(on_report)),
      ahead_limit_(context) {
  pool_.set_handlers({[this](Executor& executor, const auto& progress) { take_progress(executor, progress); },
                      [this](Executor& executor, const auto& ended) { take_end(executor, ended); },
                      [this](Executor& executor, const Ending& ending) { take_death(executor, ending); }});
}

void Attempts::start(proto::Lease lease, const Result<spec::JobSpec>& job) {
  const std::uint64_t lease_id = lease.lease_id();
  const auto [place, is_new] = attempts_.try_emplace(lease_id);
  if (!is_new) return;
  Attempt& attempt = place->second;
  attempt.lease = std::move(lease);
  attempt.progress.set_lease_id(lease_id);
  attempt.started = std::chrono::steady_clock::now();
  attempt.log = log_of(attempt.lease);
  if (job) {
    attempt.kind = job->kind;
    attempt.is_plain = job->kind == spec::JobKind::kCommand && job->entry.empty();
    attempt.takes_no_time = takes_no_time(*job);
    attempt.shares_queries = shares_queries(*job);
  }
  if (const Status assigned = job ? assign(attempt) : fail(job.error()); !assigned) {
    give_verdict(attempt, assigned.error());
    end_ranks(attempt);
    return finish_if_over(lease_id);
  }
  const bool waits = !ahead_.empty() && ahead_.back() == lease_id;
  if (waits) return fill_queues();
  watch_limit(attempt);
}

Status Attempts::assign(Attempt& attempt) {
  if (attempt.kind == spec::JobKind::kNoop) return assign_noop(attempt);
  if (!spec::needs_torch(attempt.kind) && !has_room(attempt)) {
    ahead_.push_back(attempt.lease.lease_id());
    watch_ahead();
    return {};
  }
  begin(attempt);
  remove_old_log(attempt);
  if (spec::needs_torch(attempt.kind)) return assign_ranks(attempt);
  const bool is_shared =
      attempt.shares_queries && attempt.lease.parts_size() <= 1;  // launchers start gauntlet-rank
  attempt.ranks.resize(is_shared ? world_of(attempt.lease) : 1);
  if (attempt.ranks.size() > 1) GAUNTLET_CHECK_OK(make_empty(rendezvous_of(attempt)));
  for (std::size_t rank = 0; rank < attempt.ranks.size(); ++rank) {
    GAUNTLET_TRY(Executor* const executor, pool_.idle(ExecutorKind::kLight, std::nullopt));
    tell(attempt, rank, *executor);
  }
  return {};
}

void Attempts::begin(Attempt& attempt) {
  attempt.started = std::chrono::steady_clock::now();
  attempt.cpus = cpus_of(attempt);
  cpus_in_use_ += attempt.cpus;
  attempt.oom_kills = recent_oom_kills();
}

/// Logs of an earlier database may be there; if they cannot be removed, they are appended to.
void Attempts::remove_old_log(const Attempt& attempt) const {
  const std::filesystem::path log = settings_.workdir / attempt.log;
  if (::access(log.parent_path().c_str(), F_OK) != 0) return;  // of a key that never said anything
  std::error_code ignored;
  std::filesystem::remove(log, ignored);
  std::filesystem::remove(events_beside(log), ignored);
}

Status Attempts::assign_noop(Attempt& attempt) {
  attempt.ranks.resize(1);
  if (attempt.takes_no_time) {
    GAUNTLET_TRY(Executor* const executor, pool_.noop());
    tell(attempt, 0, *executor);
    return {};
  }
  const std::size_t most = std::max(kLeastSleepers, static_cast<std::size_t>(settings_.cpus));
  if (!pool_.has_idle(ExecutorKind::kLight) && pool_.count(ExecutorKind::kLight) >= most) {
    waiting_.push_back(attempt.lease.lease_id());
    return {};
  }
  GAUNTLET_TRY(Executor* const executor, pool_.idle(ExecutorKind::kLight, std::nullopt));
  tell(attempt, 0, *executor);
  return {};
}

Status Attempts::assign_ranks(Attempt& attempt) {
  if (!settings_.has_torch) {
    return fail(ErrorCode::kInvalid, "this worker has no gauntlet-rank, which a {} job needs",
                spec::name_of(attempt.kind));
  }
  const proto::Lease& lease = attempt.lease;
  const std::size_t world = world_of(lease);
  attempt.ranks.resize(world);
  if (world > 1) {
    std::error_code error;
    std::filesystem::create_directories(settings_.workdir / "tmp", error);
    std::filesystem::remove(rendezvous_of(attempt), error);
    if (settings_.gangs.launcher->command != nullptr) return assign_launched(attempt);
  }
  if (lease.parts_size() > 1) {
    return fail(ErrorCode::kInvalid, "a gang over {} machines was given to a worker with the launcher {}",
                lease.parts_size(), settings_.gangs.launcher->name);
  }
  for (std::size_t rank = 0; rank < attempt.ranks.size(); ++rank) {
    std::optional<std::uint32_t> gpu;
    if (lease.gpus_size() > 0) gpu = lease.gpus(static_cast<int>(rank));
    GAUNTLET_TRY(Executor* const executor, pool_.idle(ExecutorKind::kRank, gpu));
    tell(attempt, rank, *executor);
  }
  return {};
}

Status Attempts::assign_launched(Attempt& attempt) {
  const std::uint64_t id = attempt.lease.lease_id();
  const GangPlan plan =
      plan_gang(attempt.lease, settings_.gangs, rendezvous_of(attempt).replace_extension("hosts"));
  GangOptions options;
  options.launcher = settings_.gangs.launcher;
  options.settings = settings_.gangs.settings;
  options.layout = plan.layout;
  options.guard = settings_.gangs.guard;
  options.address = settings_.gangs.address;
  options.entries = settings_.gangs.entries;
  const std::filesystem::path log = settings_.workdir / attempt.log;
  GAUNTLET_TRY(const std::vector<Executor*> executors,
               pool_.launch(std::move(options), {[log](std::string_view text) { append_to_log(log, text); },
                                                 [this, id](const Error& error) { stop(id, error); }}));
  for (std::size_t rank = 0; rank < executors.size(); ++rank)
    tell(attempt, rank, *executors[rank], plan.gpus[rank]);
  return {};
}

void Attempts::tell(Attempt& attempt, std::size_t rank, Executor& executor,
                    std::optional<std::uint32_t> gpu) {
  const auto world = static_cast<std::int64_t>(attempt.ranks.size());
  const std::int64_t cpus = cpus_of(attempt);
  const bool is_elsewhere = executor.launched || executor.kind == ExecutorKind::kNoop || attempt.is_queued;
  if (places_.has_choice() && !is_elsewhere) {
    places_.take(attempt.lease.lease_id(), cpus);
    bind_process(executor.process->pid(), places_.cpus_of(attempt.lease.lease_id()));
  }
  proto::RunAttempt message;
  message.set_lease_id(attempt.lease.lease_id());
  message.set_key(attempt.lease.key());
  message.set_canonical(attempt.lease.canonical());
  message.set_title(attempt.lease.title());
  message.set_attempt(attempt.lease.attempt());
  message.set_rank(static_cast<std::uint32_t>(rank));
  message.set_world(static_cast<std::uint32_t>(world));
  message.set_threads(static_cast<std::uint32_t>(std::max<std::int64_t>(1, cpus / world)));
  message.set_workdir(settings_.workdir.string());
  message.set_device(attempt.lease.gpus_size() > 0 ? "cuda" : "cpu");
  message.set_locations(attempt.lease.locations());
  message.set_checkpoint_minutes(settings_.checkpoint_minutes);
  if (executor.launched && gpu) message.set_gpu(*gpu);
  if (world > 1 && !executor.launched) message.set_rendezvous(rendezvous_of(attempt).string());
  // A noop prints nothing, and thousands of empty files tell nothing.
  if (executor.kind != ExecutorKind::kNoop) message.set_log((settings_.workdir / attempt.log).string());
  attempt.ranks[rank].executor = executor.id;
  pool_.run(executor, std::move(message));
}

std::int64_t Attempts::cpus_of(const Attempt& attempt) const {
  const std::int64_t asked = attempt.lease.resources().cpus();
  return attempt.lease.parts_size() > 1 ? asked : std::min(asked, settings_.cpus);
}

void Attempts::watch_limit(Attempt& attempt) {
  const std::int64_t limit_s = attempt.lease.resources().time_s();
  if (limit_s <= 0) return;
  attempt.limit = std::make_unique<boost::asio::steady_timer>(context_, std::chrono::seconds(limit_s));
  attempt.limit->async_wait(
      [this, limit_s, id = attempt.lease.lease_id()](const boost::system::error_code& error) {
        if (error) return;
        stop(id, {ErrorCode::kTimedOut, fmt::format("it ran longer than its limit of {}",
                                                    human_duration(static_cast<double>(limit_s)))});
      });
}

void Attempts::stop(std::uint64_t lease_id, const Error& reason) {
  Attempt* attempt = find(lease_id);
  if (attempt == nullptr) return;
  if (!take_back(*attempt)) isolate(*attempt);
  attempt = find(lease_id);
  if (attempt == nullptr) return;  // it was over
  give_verdict(*attempt, reason);
  end_ranks(*attempt);
  finish_if_over(lease_id);
}

void Attempts::stop_all(const Error& reason) {
  for (const proto::HeldLease& lease : held()) stop(lease.lease_id(), reason);
}

/// Rank 0 saves and stops; that ends the others.
void Attempts::ask_for_checkpoints() {
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.stopping || attempt.ranks.empty()) continue;
    const Executor* const executor = pool_.find(attempt.ranks.front().executor);
    if (executor == nullptr || executor->kind != ExecutorKind::kRank || !executor->ready) continue;
    executor->process->ask_for_checkpoint();
  }
}

void Attempts::abandon(std::uint64_t lease_id) {
  Attempt* const attempt = find(lease_id);
  if (attempt == nullptr) return;
  attempt->wanted = false;
  stop(lease_id, {ErrorCode::kStaleLease, "its lease is no longer current"});
}

std::vector<proto::HeldLease> Attempts::held() const {
  std::vector<proto::HeldLease> all;
  for (const auto& [id, attempt] : attempts_) {
    if (!attempt.wanted) continue;
    proto::HeldLease& held = all.emplace_back();
    held.set_job_id(attempt.lease.job_id());
    held.set_lease_id(id);
    held.set_attempt(attempt.lease.attempt());
  }
  return all;
}

std::vector<proto::AttemptProgress> Attempts::progress() const {
  std::vector<proto::AttemptProgress> all;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.wanted) all.push_back(attempt.progress);
  }
  return all;
}

void Attempts::limit_logs() {
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.kind == spec::JobKind::kNoop) continue;
    const std::filesystem::path log = settings_.workdir / attempt.log;
    const Result<bool> limited = limit_log(log, static_cast<std::uint64_t>(settings_.log_limit_mb) << 20);
    if (limited || std::exchange(warned_of_logs_, true)) continue;
    spdlog::warn("a log cannot be shortened: {}", limited.error().message);  // no reason to end the attempt
  }
}

void Attempts::take_progress(const Executor& executor, const proto::AttemptProgress& progress) {
  Attempt* const attempt = find(progress.lease_id());
  if (attempt != nullptr && !attempt->ranks.empty() && attempt->ranks.front().executor == executor.id) {
    attempt->progress = progress;
  }
}

void Attempts::run_waiting() {
  while (!waiting_.empty()) {
    const std::uint64_t lease_id = waiting_.front();
    waiting_.pop_front();
    Attempt* const attempt = find(lease_id);
    if (attempt == nullptr) continue;
    const std::size_t waiting = waiting_.size();
    if (const Status assigned = assign(*attempt); !assigned) {
      give_verdict(*attempt, assigned.error());
      finish_if_over(lease_id);
    } else if (waiting_.size() >
               waiting) {  // no executor yet: it went to the end; first it was, first it stays
      waiting_.push_front(waiting_.back());
      waiting_.pop_back();
      return;
    }
  }
}

std::uint64_t Attempts::recent_oom_kills() {
  const auto now = std::chrono::steady_clock::now();
  if (now - oom_kills_at_ > kOomKillsHold) {
    oom_kills_seen_ = oom_kills(settings_.system_root);
    oom_kills_at_ = now;
  }
  return oom_kills_seen_;
}

Attempts::Attempt* Attempts::find(std::uint64_t lease_id) {
  const auto found = attempts_.find(lease_id);
  return found == attempts_.end() ? nullptr : &found->second;
}

std::filesystem::path Attempts::rendezvous_of(const Attempt& attempt) const {
  return settings_.workdir / "tmp" /
         fmt::format("gang-{}-{}", attempt.lease.lease_id(), attempt.lease.attempt());
}

}  // namespace gauntlet::worker
