#include "cli/support/gc_plan.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "core/artifacts/inventory.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using store::JobUse;
using store::Need;
using Uses = std::unordered_map<JobKey, JobUse>;

/// What is freed first under a limit: what derives from a checkpoint, then prepared data, whose source may be
/// gone by then, then the checkpoints that took training.
int price_class(spec::JobKind kind) {
  switch (kind) {
    case spec::JobKind::kFeatures:
    case spec::JobKind::kCraft:
    case spec::JobKind::kEncode:
    case spec::JobKind::kEvaluate:
    case spec::JobKind::kExplain:
    case spec::JobKind::kNoop:
      return 0;
    case spec::JobKind::kPrepare:
    case spec::JobKind::kCommand:
      return 1;
    case spec::JobKind::kTrainModel:
    case spec::JobKind::kTrainAttack:
    case spec::JobKind::kTrainDefense:
      return 2;
  }
  return 2;
}

double seconds_per_byte(const GcItem& item) { return item.wall_s / static_cast<double>(item.bytes + 1); }

/// Cheapest to make again first; equal ones in the order of their keys.
bool goes_before(const GcItem& one, const GcItem& other) {
  const int first = price_class(*one.kind);
  const int second = price_class(*other.kind);
  if (first != second) return first < second;
  return std::tuple(seconds_per_byte(one), one.key) < std::tuple(seconds_per_byte(other), other.key);
}

class Planner {
 public:
  Planner(const GcOptions& options, const Uses& uses) : options_(options), uses_(uses) {}

  Result<GcPlan> plan() {
    GAUNTLET_CHECK_OK(add_artifacts());
    GAUNTLET_CHECK_OK(for_each_job_folder(
        "logs", [this](const JobKey& key, const fs::path& folder) { return add_logs_of(key, folder); }));
    GAUNTLET_CHECK_OK(for_each_job_folder("checkpoints", [this](const JobKey& key, const fs::path& folder) {
      add_checkpoints_of(key, folder);
      return Status();
    }));
    std::stable_sort(plan_.items.begin(), plan_.items.end(),
                     [](const GcItem& one, const GcItem& other) { return one.reason < other.reason; });
    for (const GcItem& item : plan_.items) plan_.freed_bytes += item.bytes;
    return std::move(plan_);
  }

 private:
  Status add_artifacts() {
    GAUNTLET_TRY(const artifacts::Inventory inventory, artifacts::take_inventory(options_.workdir));
    for (const artifacts::Leftover& leftover : inventory.leftovers) {
      GcItem item{GcReason::kLeftover, leftover.path, artifacts::disk_bytes(leftover.path), leftover.what};
      plan_.artifact_bytes += item.bytes;
      plan_.items.push_back(std::move(item));
    }
    std::vector<GcItem> made_again;
    for (const artifacts::FoundArtifact& found : inventory.artifacts) {
      GcItem item{GcReason::kOrphan, found.folder, artifacts::disk_bytes(found.folder), ""};
      item.kind = found.kind;
      item.key = found.key;
      plan_.artifact_bytes += item.bytes;
      const auto use = uses_.find(found.key);
      if (use == uses_.end() || use->second.kind != found.kind) {
        item.what = "an artifact of no job of this database";
        plan_.items.push_back(std::move(item));
        continue;
      }
      item.job = use->second.job;
      item.wall_s = use->second.wall_s;
      place(use->second.need, std::move(item), made_again);
    }
    fit_limit(std::move(made_again));
    return {};
  }

  void place(Need need, GcItem item, std::vector<GcItem>& made_again) {
    switch (need) {
      case Need::kUnwanted:
        item.reason = GcReason::kUnwanted;
        item.what = fmt::format("{} {}, which no cell of any sweep has any more", spec::name_of(*item.kind),
                                item.key.brief());
        plan_.items.push_back(std::move(item));
        return;
      case Need::kMadeAgain:
        made_again.push_back(std::move(item));
        return;
      case Need::kFinal:
      case Need::kUnfinished:
        keep(item);
        return;
    }
  }

  void keep(const GcItem& item) {
    ++plan_.n_kept;
    plan_.kept_bytes += item.bytes;
  }

  void fit_limit(std::vector<GcItem> made_again) {
    std::sort(made_again.begin(), made_again.end(), goes_before);
    std::uint64_t left = plan_.kept_bytes;
    for (const GcItem& item : made_again) left += item.bytes;
    for (GcItem& item : made_again) {
      if (!options_.max_bytes || left <= *options_.max_bytes) {
        keep(item);
        continue;
      }
      left -= item.bytes;
      item.reason = GcReason::kOverLimit;
      item.what = fmt::format("{} {}, made again in about {} if it is needed", spec::name_of(*item.kind),
                              item.key.brief(), human_duration(item.wall_s));
      plan_.items.push_back(std::move(item));
    }
    if (options_.max_bytes && left > *options_.max_bytes) plan_.over_bytes = left - *options_.max_bytes;
  }

  /// Folders of the work folder's `name` that are called as jobs' keys.
  template <class Add>
  Status for_each_job_folder(std::string_view name, const Add& add) {
    std::error_code error;
    auto folder = fs::directory_iterator(options_.workdir / name, error);
    for (; !error && folder != fs::directory_iterator(); folder.increment(error)) {
      const Result<Digest> key = digest_from_hex(folder->path().filename().string());
      if (key && folder->is_directory()) GAUNTLET_CHECK_OK(add(JobKey{*key}, folder->path()));
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return fail(system_error(error.value(), "read", options_.workdir / name));
    }
    return {};
  }

  // ---------------------------------------------------------------- checkpoints/<key>/

  /// A job removes its own when it is done; what stays is of jobs that will not run again, or died just then.
  void add_checkpoints_of(const JobKey& key, const fs::path& folder) {
    const auto use = uses_.find(key);
    if (use != uses_.end() && use->second.need == Need::kUnfinished && !use->second.done) return;
    GcItem item{GcReason::kCheckpoint, folder, artifacts::disk_bytes(folder),
                use == uses_.end()
                    ? "the checkpoint of a job that this database does not know"
                    : fmt::format("the checkpoint of {} {}, which {}", spec::name_of(use->second.kind),
                                  key.brief(), use->second.done ? "is done" : "no cell has any more")};
    plan_.items.push_back(std::move(item));
  }

  // ---------------------------------------------------------------- logs/<key>/<attempt>.log…

  Status add_logs_of(const JobKey& key, const fs::path& folder) {
    const auto use = uses_.find(key);
    if (use == uses_.end()) {
      plan_.items.push_back({GcReason::kOldLog, folder, artifacts::disk_bytes(folder),
                             "logs of a job that this database does not know"});
      return {};
    }
    std::error_code error;
    for (auto file = fs::directory_iterator(folder, error); !error && file != fs::directory_iterator();
         file.increment(error)) {
      const std::optional<std::uint64_t> attempt = attempt_of(file->path());
      if (!attempt || !may_go(use->second, *attempt)) continue;
      GcItem item{GcReason::kOldLog, file->path(), artifacts::disk_bytes(file->path()),
                  fmt::format("the log of attempt {} of {} {}", *attempt, spec::name_of(use->second.kind),
                              key.brief())};
      item.job = use->second.job;
      item.attempt = *attempt;
      plan_.items.push_back(std::move(item));
    }
    return {};
  }

  [[nodiscard]] bool may_go(const JobUse& job, std::uint64_t attempt) const {
    if (attempt < job.attempt) return true;  // superseded
    const bool old = options_.old_before_ms && job.ended_ms > 0 && job.ended_ms < *options_.old_before_ms;
    return attempt == job.attempt && job.done && old;
  }

  /// "3.log", "3.log.1" → 3
  static std::optional<std::uint64_t> attempt_of(const fs::path& file) {
    const std::string name = file.filename().string();
    std::uint64_t attempt = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), attempt);
    const bool is_log = error == std::errc{} && std::string_view(end).starts_with(".log");
    return is_log ? std::optional(attempt) : std::nullopt;
  }

  const GcOptions& options_;
  const Uses& uses_;
  GcPlan plan_;
};

Status remove_path(const artifacts::ArtifactStore& artifacts, const GcItem& item) {
  if (item.kind) return artifacts.remove(*item.kind, item.key);
  std::error_code error;
  fs::remove_all(item.path, error);
  if (error) return fail(system_error(error.value(), "remove", item.path));
  if (item.reason == GcReason::kOldLog && item.job)
    fs::remove(item.path.parent_path(), error);  // once it is empty
  return {};
}

}  // namespace

std::string_view name_of(GcReason reason) {
  switch (reason) {
    case GcReason::kLeftover:
      return "leftover";
    case GcReason::kOrphan:
      return "orphan";
    case GcReason::kUnwanted:
      return "unwanted";
    case GcReason::kOverLimit:
      return "over_limit";
    case GcReason::kCheckpoint:
      return "checkpoint";
    case GcReason::kOldLog:
      return "log";
  }
  return "unknown";
}

Result<GcPlan> plan_gc(db::Connection& connection, const GcOptions& options) {
  GAUNTLET_TRY(const Uses uses, store::job_uses(connection));
  GAUNTLET_TRY(GcPlan plan, Planner(options, uses).plan());
  if (options.old_before_ms) {
    GAUNTLET_TRY(plan.history, store::count_history(connection, *options.old_before_ms));
  }
  return plan;
}

Status run_gc(db::Connection& connection, const GcOptions& options, const GcPlan& plan, std::int64_t now_ms) {
  std::vector<JobId> freed;
  std::vector<store::LogRow> logs;
  for (const GcItem& item : plan.items) {
    if (item.kind && item.job) freed.push_back(item.job);
    if (item.reason == GcReason::kOldLog && item.job) logs.push_back({item.job, item.attempt});
  }
  if (!freed.empty() || !logs.empty()) {
    GAUNTLET_CHECK_OK(store::note_freed(connection, freed, logs, now_ms));
  }
  const artifacts::ArtifactStore artifacts(options.workdir);
  for (const GcItem& item : plan.items) GAUNTLET_CHECK_OK(remove_path(artifacts, item));
  if (options.old_before_ms) {
    GAUNTLET_CHECK_OK(store::remove_history(connection, *options.old_before_ms));
  }
  return {};
}

}  // namespace gauntlet::cli
