// A work folder made by code: a sweep's jobs in a database, their artifacts and logs beside it, as
// coordinator and workers would have left them, without anything having run.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "coordinator/store/job_store.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/base/files.hpp"
#include "core/db/connection.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::cli {

class MadeFolder {
 public:
  explicit MadeFolder(std::filesystem::path workdir) : workdir_(std::move(workdir)), artifacts_(workdir_) {
    EXPECT_TRUE(make_directories(workdir_));
    auto opened = store::JobStore::open(workdir_ / "gauntlet.db");
    EXPECT_TRUE(opened) << opened.error().message;
    store_.emplace(std::move(*opened));
    apply({1000, engine::WorkerJoined{WorkerId{1}, "agent", "node1", 2, 0, 0}});
  }

  /// A job of that name; `inputs` are names of earlier ones.
  void add(const std::string& name, spec::JobKind kind, const std::vector<std::string>& inputs) {
    spec::JobSpec job;
    job.kind = kind;
    job.entry = spec::name_of(kind);
    job.version = 1;
    job.config = {{"name", name}};
    for (const std::string& input : inputs) job.inputs.push_back({input, key(input)});
    job.title = name;
    const Result<JobKey> key = key_of(job);
    EXPECT_TRUE(key);
    keys_.emplace(name, *key);
    jobs_.emplace(name, job);
    order_.push_back(name);
  }

  /// Hands in all jobs added so far; one cell per list of names, told apart by its seed.
  void submit(const std::string& sweep, const std::vector<std::vector<std::string>>& cells) {
    store::Submission submission;
    submission.name = sweep;
    submission.spec_text = "gauntlet: 1\n# " + std::to_string(++n_texts_) + "\n";
    submission.metrics = "{}";
    for (const std::string& name : order_) {
      const spec::JobSpec& job = jobs_.at(name);
      store::SubmittedJob submitted;
      submitted.key = key(name);
      submitted.canonical = *canonical_json(canonical_form(job));
      submitted.title = job.title;
      for (const spec::JobInput& input : job.inputs) submitted.needs.push_back(input.key);
      submission.jobs.push_back(std::move(submitted));
    }
    for (std::size_t at = 0; at < cells.size(); ++at) {
      store::SubmittedCell cell;
      cell.cell.dataset = "picto_scenes";
      cell.cell.seed = at + 1;
      for (const std::string& name : cells[at])
        cell.jobs.push_back({key(name), std::string(spec::name_of(jobs_.at(name).kind))});
      submission.cells.push_back(std::move(cell));
    }
    const auto submitted = store_->submit(submission, 2000);
    EXPECT_TRUE(submitted) << submitted.error().message;
  }

  /// The job's next attempt succeeds: artifact of so many bytes, log, one number.
  void finish(const std::string& name, std::size_t n_bytes = 100, double wall_s = 1) {
    const Result<artifacts::Artifact> artifact = publish(name, n_bytes);
    if (!artifact) return;
    engine::AttemptDone done;
    done.outcome.manifest = artifact->manifest_hash;
    done.outcome.wall_s = wall_s;
    done.outcome.rows.push_back({.metric = "map", .value = 0.5, .unit = "ratio", .n = 1});
    end(name, std::move(done));
  }
  /// The job's next attempt fails; it goes back to the queue, or fails.
  void fail_attempt(const std::string& name, bool for_good = false) {
    engine::AttemptFailed failed;
    failed.code = ErrorCode::kDiverged;
    failed.outcome.message = "the loss is nan";
    failed.failures = 1;
    const JobId job = end(name, std::move(failed));
    if (for_good) {
      apply({6000, engine::JobFailed{job, ErrorCode::kDiverged}});
    } else {
      apply({6000, engine::JobQueued{job}});
    }
  }
  /// An attempt begins and goes on.
  void lease(const std::string& name) {
    const JobId job = id(name);
    const AttemptNo attempt{attempt_of(name) + 1};
    apply({3000, engine::JobLeased{job, LeaseId{++last_lease_}, attempt, WorkerId{1}, 0}});
    write_log(name, attempt.value);
  }

  [[nodiscard]] JobKey key(const std::string& name) const { return keys_.at(name); }
  [[nodiscard]] std::filesystem::path folder_of(const std::string& name) const {
    return artifacts_.folder_of(jobs_.at(name).kind, key(name));
  }
  [[nodiscard]] std::filesystem::path log_of(const std::string& name, std::uint64_t attempt) const {
    return workdir_ / "logs" / key(name).hex() / (std::to_string(attempt) + ".log");
  }
  [[nodiscard]] bool has_artifact(const std::string& name) const {
    return artifacts_.contains(jobs_.at(name).kind, key(name));
  }
  [[nodiscard]] db::Connection& connection() { return store_->connection(); }
  /// Nobody has the database open any more.
  void close() { store_.reset(); }

  Result<artifacts::Artifact> publish(const std::string& name, std::size_t n_bytes) {
    Result<artifacts::Draft> draft = artifacts_.begin(key(name));
    EXPECT_TRUE(draft) << draft.error().message;
    if (!draft) return fail(draft.error());
    std::ofstream(draft->folder() / "data.npy") << std::string(n_bytes, 'x');
    auto published = artifacts_.publish(std::move(*draft), jobs_.at(name), key(name), {{"name", name}});
    EXPECT_TRUE(published) << published.error().message;
    return published;
  }

 private:
  void apply(engine::Transition transition) {
    const std::vector<engine::Transition> one = {std::move(transition)};
    const auto applied = store_->apply(one);
    EXPECT_TRUE(applied) << applied.error().message;
  }
  [[nodiscard]] JobId id(const std::string& name) {
    store::Selection selection;
    selection.key_prefix = key(name).hex();
    const auto found = store_->select(selection);
    EXPECT_TRUE(found && found->size() == 1) << name;
    return found && !found->empty() ? found->front() : JobId{};
  }
  [[nodiscard]] std::uint64_t attempt_of(const std::string& name) {
    const auto attempt =
        connection().integer(fmt::format("SELECT attempt FROM jobs WHERE job_id = {}", id(name).value));
    return static_cast<std::uint64_t>(attempt.value_or(0));
  }
  template <class End>
  JobId end(const std::string& name, End end) {
    lease(name);
    end.job = id(name);
    end.lease = LeaseId{last_lease_};
    end.attempt = AttemptNo{attempt_of(name)};
    end.worker = WorkerId{1};
    end.outcome.log = log_of(name, end.attempt.value).lexically_relative(workdir_);
    const JobId job = end.job;
    apply({4000, std::move(end)});
    // What the engine decides next: jobs whose needs are done now are queued.
    EXPECT_TRUE(connection().execute(
        "UPDATE jobs SET state = 1 WHERE state = 0 AND NOT EXISTS (SELECT 1 FROM needs e JOIN jobs n ON "
        "n.job_id = e.needs_job_id WHERE e.job_id = jobs.job_id AND n.state <> 3)"));
    return job;
  }
  void write_log(const std::string& name, std::uint64_t attempt) const {
    const std::filesystem::path path = log_of(name, attempt);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << fmt::format("{}, attempt {}\n", name, attempt);
  }

  std::filesystem::path workdir_;
  artifacts::ArtifactStore artifacts_;
  std::optional<store::JobStore> store_;
  std::map<std::string, JobKey> keys_;
  std::map<std::string, spec::JobSpec> jobs_;
  std::vector<std::string> order_;
  std::uint64_t last_lease_ = 0;
  int n_texts_ = 0;
};

/// data ← model ← crafted ← codes ← numbers and data ← codes; heat map of the crafted set. Two cells: the
/// first is finished, the second waits for `codes_b`.
inline void make_sweep(MadeFolder& made) {
  using spec::JobKind;
  made.add("data", JobKind::kPrepare, {});
  made.add("model", JobKind::kTrainModel, {"data"});
  made.add("crafted", JobKind::kCraft, {"data", "model"});
  made.add("codes", JobKind::kEncode, {"crafted", "model"});
  made.add("numbers", JobKind::kEvaluate, {"codes"});
  made.add("heat", JobKind::kExplain, {"crafted", "model"});
  made.submit("small", {{"data", "model", "crafted", "codes", "numbers", "heat"}});
  for (const char* name : {"data", "model", "crafted", "codes", "numbers", "heat"}) made.finish(name);
}

}  // namespace gauntlet::cli
