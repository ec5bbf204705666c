#include "worker/agent/staging.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "core/artifacts/adopt.hpp"
#include "core/artifacts/inventory.hpp"
#include "core/artifacts/manifest.hpp"
#include "core/base/files.hpp"
#include "core/proto/convert.hpp"
#include "core/transfer/incoming.hpp"
#include "worker/executor/outcome.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

/// Artifacts that move at once, each over Route::n_streams connections.
constexpr std::size_t kMovingThreads = 3;
constexpr std::chrono::milliseconds kLook{100};

Result<spec::JobSpec> job_of(const proto::Lease& lease) {
  GAUNTLET_TRY(const Json form, parse_json(lease.canonical(), "the lease's job"));
  return spec::job_from_canonical(form);
}

/// Nothing is read, nothing made: a noop, a command without an entry.
bool moves_nothing(const spec::JobSpec& job) {
  const bool is_plain = job.kind == spec::JobKind::kCommand && job.entry.empty();
  return job.kind == spec::JobKind::kNoop || (is_plain && job.inputs.empty());
}

proto::Report report_of(const proto::Lease& lease, const Error& error) {
  proto::Report report;
  report.set_job_id(lease.job_id());
  report.set_lease_id(lease.lease_id());
  report.set_attempt(lease.attempt());
  *report.mutable_outcome() = outcome_of(error);
  return report;
}

/// All that must stay here for the lease.
std::vector<JobKey> keys_of(const JobKey& own, std::vector<JobKey> inputs) {
  inputs.push_back(own);
  return inputs;
}

}  // namespace

Staging::Staging(boost::asio::io_context& context, Settings settings, OnReady on_ready, OnReport on_report)
    : context_(context),
      settings_(std::move(settings)),
      on_ready_(std::move(on_ready)),
      on_report_(std::move(on_report)),
      cache_(settings_.workdir, settings_.cache_mb),
      threads_(kMovingThreads) {
  transfer::remove_stale_incoming(settings_.workdir);
}

Staging::~Staging() {
  for (auto& [id, entry] : entries_) {
    if (entry.move) entry.move->cancelled = true;
    if (entry.checkpoint_move) entry.checkpoint_move->cancelled = true;
  }
  threads_.join();
}

template <class Work, class Then>
void Staging::move(Work work, Then then) {
  boost::asio::post(threads_, [this, work = std::move(work), then = std::move(then)] {
    boost::asio::post(context_, [then, result = work()] { then(result); });
  });
}

Route Staging::route_for(const std::shared_ptr<Move>& move) const {
  Route route;
  route.find = settings_.find;
  route.cancelled = &move->cancelled;
  route.on_progress = [move](double fraction) { move->fraction = fraction; };
  return route;
}

void Staging::joined(const std::string& work_folder) {
  std::error_code ignored;
  const bool shared = work_folder.empty() || fs::exists(settings_.workdir / work_folder, ignored);
  if (shared != is_shared_) {
    spdlog::info(
        shared ? "the coordinator's work folder is seen from here"
               : "the coordinator's work folder is another one: artifacts move through the coordinator");
  }
  is_shared_ = shared;
}

// ---------------------------------------------------------------- before the attempt

void Staging::start(const proto::Lease& lease) {
  const Result<spec::JobSpec> job = job_of(lease);
  const Result<JobKey> key = proto::key_from_bytes(lease.key());
  // What cannot be read is refused by those who run it, in their words.
  if (!job || !key || moves_nothing(*job)) return on_ready_(lease, job);
  const auto [place, is_new] = entries_.try_emplace(lease.lease_id());
  if (!is_new) return;
  Entry& entry = place->second;
  entry.lease = lease;
  entry.kind = job->kind;
  entry.key = *key;
  for (const spec::JobInput& input : job->inputs) entry.inputs.push_back(input.key);
  cache_.hold(keys_of(entry.key, entry.inputs));
  const bool may_resume = lease.attempt() > 1;
  if (is_shared_ || (entry.inputs.empty() && !may_resume)) {
    entry.checkpoint_ns = checkpoint_time(entry.key);
    return on_ready_(lease, job);
  }
  fetch(entry);
}

void Staging::fetch(Entry& entry) {
  entry.phase = Phase::kFetching;
  entry.move = std::make_shared<Move>();
  move([this, asked = entry, route = route_for(entry.move)] { return fetch_inputs(asked, route); },
       [this, id = entry.lease.lease_id(), move = entry.move](const Fetched& result) {
         fetched(id, move, result);
       });
}

Staging::Fetched Staging::fetch_inputs(const Entry& entry, const Route& route) {
  Fetched result;
  for (const JobKey& key : entry.inputs) {
    ArtifactCache::Turn turn = cache_.turn_to_fetch(key, kLook);
    while (turn == nullptr && !route.cancelled->load()) turn = cache_.turn_to_fetch(key, kLook);
    const Result<std::string> here = fetch_artifact(route, settings_.workdir, key);
    if (here) {
      const fs::path folder = [&] {
        const auto found = artifacts::find_manifest(artifacts::ArtifactStore(settings_.workdir), key);
        return found ? found->folder : fs::path();
      }();
      cache_.used(key, artifacts::disk_bytes(folder));
      continue;
    }
    const ErrorCode code = here.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kCorrupt) {
      result.damaged.push_back(key);
      result.status =
          fail(ErrorCode::kCorrupt, "input {} cannot be had: {}", key.brief(), here.error().message);
      continue;  // all that are damaged are made again together
    }
    result.status = fail(here.error());
    return result;
  }
  if (result.status && entry.lease.attempt() > 1) {
    // Without it the attempt begins at its first epoch, which is no reason not to begin.
    const auto checkpoint = fetch_artifact(route, settings_.workdir, entry.key, true);
    if (!checkpoint && checkpoint.error().code != ErrorCode::kNotFound)
      spdlog::warn("{}: its checkpoint was not fetched: {}", entry.lease.title(), checkpoint.error().message);
  }
  cache_.shrink();
  return result;
}

void Staging::fetched(std::uint64_t lease_id, const std::shared_ptr<Move>& move, const Fetched& result) {
  const auto found = entries_.find(lease_id);
  if (found == entries_.end() || found->second.move != move) return;  // stopped meanwhile
  Entry& entry = found->second;
  entry.move = nullptr;
  if (result.status) {
    entry.phase = Phase::kRunning;
    entry.checkpoint_ns = checkpoint_time(entry.key);
    const proto::Lease lease = entry.lease;
    return on_ready_(lease, job_of(lease));
  }
  spdlog::warn("{}: {}", entry.lease.title(), result.status.error().message);
  proto::Report report = report_of(entry.lease, result.status.error());
  for (const JobKey& key : result.damaged)
    report.mutable_outcome()->add_damaged_inputs(proto::key_bytes(key));
  drop(lease_id);
  on_report_(std::move(report));
}

// ---------------------------------------------------------------- after the attempt

void Staging::finish(proto::Report report) {
  const auto found = entries_.find(report.lease_id());
  if (found == entries_.end()) return on_report_(std::move(report));
  Entry& entry = found->second;
  entry.report = std::move(report);
  const bool is_done = entry.report.outcome().code() == 0;
  const bool has_artifact = is_done && !entry.report.outcome().manifest().empty();
  const bool has_checkpoint = !is_done && checkpoint_time(entry.key) > entry.checkpoint_ns;
  if (entry.checkpoint_move) entry.checkpoint_move->cancelled = true;
  if (!is_shared_ && (has_artifact || has_checkpoint)) return push(entry);
  hand_over(entry);
}

void Staging::push(Entry& entry) {
  entry.phase = Phase::kPushing;
  entry.move = std::make_shared<Move>();
  move(
      [this, asked = entry, route = route_for(entry.move)]() -> Result<std::string> {
        if (asked.report.outcome().code() != 0) {
          GAUNTLET_CHECK_OK(push_checkpoint(asked, route));
          return std::string();
        }
        const fs::path folder = artifacts::ArtifactStore(settings_.workdir).folder_of(asked.kind, asked.key);
        Result<std::string> hash = push_artifact(route, folder);
        if (hash) cache_.used(asked.key, artifacts::disk_bytes(folder));
        cache_.shrink();
        return hash;
      },
      [this, id = entry.lease.lease_id(), move = entry.move](const Result<std::string>& hash) {
        pushed(id, move, hash);
      });
}

void Staging::pushed(std::uint64_t lease_id, const std::shared_ptr<Move>& move,
                     const Result<std::string>& hash) {
  const auto found = entries_.find(lease_id);
  if (found == entries_.end() || found->second.move != move) return;  // stopped meanwhile
  Entry& entry = found->second;
  proto::Outcome& outcome = *entry.report.mutable_outcome();
  if (outcome.code() != 0) {  // of a checkpoint; without it the next attempt goes on from an older one
    if (!hash)
      spdlog::warn("{}: its checkpoint was not stored: {}", entry.lease.title(), hash.error().message);
  } else if (hash) {
    // The coordinator has had another one already: that one counts, here too.
    if (*hash != outcome.manifest()) {
      static_cast<void>(artifacts::ArtifactStore(settings_.workdir).remove(entry.kind, entry.key));
    }
    outcome.set_manifest(*hash);
  } else {
    Error error = hash.error();
    if (error.code == ErrorCode::kNotFound)
      error.code = ErrorCode::kIo;  // it was here when the attempt ended
    error.message = "its artifact was not stored at the coordinator: " + error.message;
    spdlog::warn("{}: {}", entry.lease.title(), error.message);
    const std::string log = outcome.log();
    outcome = outcome_of(error);
    outcome.set_log(log);
  }
  hand_over(entry);
}

void Staging::hand_over(Entry& entry) {
  proto::Report report = std::move(entry.report);
  drop(entry.lease.lease_id());
  on_report_(std::move(report));
}

// ---------------------------------------------------------------- checkpoints

std::int64_t Staging::checkpoint_time(const JobKey& key) const {
  struct ::stat about {};
  const fs::path file = transfer::checkpoint_folder(settings_.workdir, key) / transfer::kCheckpointFile;
  if (::stat(file.c_str(), &about) != 0) return 0;
  return std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec;
}

void Staging::push_checkpoints() {
  if (is_shared_) return;
  for (auto& [id, entry] : entries_) {
    if (entry.phase != Phase::kRunning || entry.checkpoint_move) continue;
    const std::int64_t saved_ns = checkpoint_time(entry.key);
    if (saved_ns <= entry.checkpoint_ns) continue;
    entry.checkpoint_move = std::make_shared<Move>();
    move([this, asked = entry,
          route = route_for(entry.checkpoint_move)] { return push_checkpoint(asked, route); },
         [this, saved_ns, lease_id = id, move = entry.checkpoint_move](const Status& status) {
           checkpoint_pushed(lease_id, move, saved_ns, status);
         });
  }
}

void Staging::checkpoint_pushed(std::uint64_t lease_id, const std::shared_ptr<Move>& move,
                                std::int64_t saved_ns, const Status& status) {
  const auto found = entries_.find(lease_id);
  if (found == entries_.end() || found->second.checkpoint_move != move) return;
  found->second.checkpoint_move = nullptr;
  found->second.checkpoint_ns = saved_ns;  // of a try, too: a full disk is not asked again every second
  if (!status)
    spdlog::warn("{}: its checkpoint was not stored: {}", found->second.lease.title(),
                 status.error().message);
}

/// From a link to it: the training replaces the file when it saves again, and leaves this one as it is.
Status Staging::push_checkpoint(const Entry& entry, const Route& route) const {
  const artifacts::ArtifactStore store(settings_.workdir);
  GAUNTLET_TRY(const artifacts::Draft draft, store.begin(entry.key));
  const fs::path file = transfer::checkpoint_folder(settings_.workdir, entry.key) / transfer::kCheckpointFile;
  std::error_code error;
  fs::create_hard_link(file, draft.folder() / transfer::kCheckpointFile, error);
  if (error) return fail(system_error(error.value(), "link", file));
  artifacts::Manifest manifest;
  GAUNTLET_TRY(manifest.job, job_of(entry.lease));
  manifest.key = entry.key;
  manifest.about = {{"saved_ns", checkpoint_time(entry.key)}};
  GAUNTLET_TRY(manifest.files, artifacts::list_files(draft.folder()));
  GAUNTLET_TRY(const std::string text, artifacts::write_manifest(manifest));
  GAUNTLET_CHECK_OK(write_file_atomic(draft.folder() / artifacts::kManifestName, text));
  GAUNTLET_TRY(const std::string stored, push_artifact(route, draft.folder(), true));
  spdlog::debug("{}: checkpoint {} is stored", entry.lease.title(), stored);
  return {};
}

// ---------------------------------------------------------------- ends

void Staging::stop(std::uint64_t lease_id, const Error& reason) {
  const auto found = entries_.find(lease_id);
  if (found == entries_.end() || found->second.phase == Phase::kRunning) return;
  const bool is_failed = found->second.phase == Phase::kPushing && found->second.report.outcome().code() != 0;
  proto::Report report = is_failed ? std::move(found->second.report) : report_of(found->second.lease, reason);
  drop(lease_id);
  on_report_(std::move(report));
}

void Staging::stop_fetching(const Error& reason) {
  for (const proto::HeldLease& lease : held()) {
    if (entries_.at(lease.lease_id()).phase == Phase::kFetching) stop(lease.lease_id(), reason);
  }
}

void Staging::abandon(std::uint64_t lease_id) { drop(lease_id); }

void Staging::drop(std::uint64_t lease_id) {
  const auto found = entries_.find(lease_id);
  if (found == entries_.end()) return;
  if (found->second.move) found->second.move->cancelled = true;
  if (found->second.checkpoint_move) found->second.checkpoint_move->cancelled = true;
  cache_.let_go(keys_of(found->second.key, found->second.inputs));
  entries_.erase(found);
}

std::vector<proto::HeldLease> Staging::held() const {
  std::vector<proto::HeldLease> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.phase == Phase::kRunning) continue;
    proto::HeldLease& held = all.emplace_back();
    held.set_job_id(entry.lease.job_id());
    held.set_lease_id(id);
    held.set_attempt(entry.lease.attempt());
  }
  return all;
}

std::vector<proto::AttemptProgress> Staging::progress() const {
  std::vector<proto::AttemptProgress> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.phase == Phase::kRunning) continue;
    proto::AttemptProgress& progress = all.emplace_back();
    progress.set_lease_id(id);
    progress.set_fraction(entry.move ? entry.move->fraction.load() : 0);
    progress.set_phase(entry.phase == Phase::kFetching ? "fetch inputs" : "store the artifact");
  }
  return all;
}

}  // namespace gauntlet::worker
