// gauntlet import: work that was done elsewhere, with its numbers.
#include <algorithm>
#include <set>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/net/workdir.hpp"
#include "coordinator/store/import.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "results/export/archive.hpp"
#include "results/export/bundle.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kNamedConflicts = 20;

struct Options {
  fs::path source;
  std::string max_size = "8GiB";
  FolderOptions folder;
  bool json = false;
};

Result<store::SubmittedJob> submitted(const results::BundleJob& job) {
  store::SubmittedJob submitted;
  submitted.key = job.key;
  GAUNTLET_TRY(submitted.canonical, canonical_json(job.form));
  submitted.title = job.title;
  GAUNTLET_TRY(submitted.resources, spec::resources_from_json(job.resources));
  submitted.needs = job.needs;
  GAUNTLET_CHECK_OK(store::check_job(submitted));
  return submitted;
}

store::ImportedJob imported(const results::BundleJob& job) {
  store::ImportedJob imported{.key = job.key,
                              .worker = job.attempt->worker,
                              .started_ms = job.attempt->started_ms,
                              .ended_ms = job.attempt->ended_ms,
                              .outcome = {}};
  imported.outcome.rows = job.rows;
  imported.outcome.curves = job.curves;
  imported.outcome.wall_s = job.attempt->wall_s;
  imported.outcome.environment = job.attempt->environment;
  imported.outcome.manifest = job.attempt->manifest;
  return imported;
}

/// Jobs that the sweep's cells name, and those they need, in the bundle's order.
std::vector<const results::BundleJob*> jobs_of(const results::Bundle& bundle, const std::string& sweep) {
  std::set<JobKey> wanted;
  for (const results::BundleCell& cell : bundle.cells) {
    if (cell.sweep != sweep) continue;
    for (const auto& [role, key] : cell.jobs) wanted.insert(key);
  }
  // Needs come before who needs them, so one walk from the end finds them all.
  std::vector<const results::BundleJob*> jobs;
  for (auto job = bundle.jobs.rbegin(); job != bundle.jobs.rend(); ++job) {
    if (!wanted.contains(job->key)) continue;
    wanted.insert(job->needs.begin(), job->needs.end());
    jobs.push_back(&*job);
  }
  std::reverse(jobs.begin(), jobs.end());
  return jobs;
}

Result<store::ImportedWork> work_of(const results::Bundle& bundle) {
  store::ImportedWork work;
  for (const results::BundleSweep& sweep : bundle.sweeps) {
    store::Submission submission;
    submission.name = sweep.name;
    submission.spec_text = sweep.spec_text;
    submission.spec_path = sweep.spec_path;
    submission.priority = static_cast<std::int32_t>(sweep.priority);
    submission.revision = sweep.code_revision;
    submission.metrics = sweep.metrics;
    for (const results::BundleJob* job : jobs_of(bundle, sweep.name)) {
      GAUNTLET_TRY(store::SubmittedJob handed_in, submitted(*job));
      submission.jobs.push_back(std::move(handed_in));
    }
    for (const results::BundleCell& cell : bundle.cells) {
      if (cell.sweep != sweep.name) continue;
      store::SubmittedCell handed_in{.cell = cell.cell, .jobs = {}, .metrics = cell.metrics};
      for (const auto& [role, key] : cell.jobs) handed_in.jobs.push_back({key, role});
      submission.cells.push_back(std::move(handed_in));
    }
    work.sweeps.push_back(std::move(submission));
  }
  for (const results::BundleJob& job : bundle.jobs) {
    if (job.state == "done") work.done.push_back(imported(job));
  }
  return work;
}

Result<int> refuse(const Options& options, const std::vector<store::ImportConflict>& conflicts) {
  for (std::size_t at = 0; at < conflicts.size() && at < kNamedConflicts; ++at)
    note(fmt::format("conflict: {}\n", conflicts[at].what));
  if (conflicts.size() > kNamedConflicts)
    note(fmt::format("conflict: and {} more\n", conflicts.size() - kNamedConflicts));
  return fail(ErrorCode::kRefused, "{} contradicts this database in {}; nothing was imported",
              options.source.string(), count_of(conflicts.size(), "place"));
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const std::uint64_t max_bytes, parse_bytes(options.max_size));
  GAUNTLET_TRY(const auto files, results::read_export(options.source, max_bytes));
  GAUNTLET_TRY(const results::Bundle bundle, results::bundle_from(files));
  GAUNTLET_TRY(const store::ImportedWork work, work_of(bundle));
  GAUNTLET_CHECK_OK(make_directories(options.folder.workdir));
  GAUNTLET_TRY(
      const coordinator::WorkdirLock lock,
      coordinator::WorkdirLock::take(options.folder.workdir, "gauntlet import", options.folder.database));
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(options.folder.database_path()));
  GAUNTLET_TRY(const store::ImportAnswer answer, store.import(work, SystemClock().wall_ms()));
  if (!answer.conflicts.empty()) return refuse(options, answer.conflicts);
  const store::ImportOutcome& outcome = answer.outcome;
  GAUNTLET_CHECK_OK(options.json
                        ? print_json(Json{{"format", 1},
                                          {"from", options.source.string()},
                                          {"new_cells", outcome.new_cells},
                                          {"new_jobs", outcome.new_jobs},
                                          {"done_jobs", outcome.done_jobs},
                                          {"same_jobs", outcome.same_jobs}})
                        : print(fmt::format("{}: {} new, {} with their numbers, {} the same as here\n",
                                            options.source.string(), count_of(outcome.new_cells, "cell"),
                                            count_of(outcome.done_jobs, "job"), outcome.same_jobs)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("source", options->source, "What `gauntlet export --to` wrote")
      .required()
      .type_name("DIR|FILE");
  arguments.add_option("--max-size", options->max_size, "Refuse more than this, unpacked (default 8GiB)")
      .type_name("BYTES");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb import_verb;
constinit const Verb import_verb{
    .name = "import",
    .summary = "Take over cells and numbers that `gauntlet export --to` wrote, refusing contradictions",
    .examples =
        "  gauntlet import table2.tar.zst\n"
        "  gauntlet import mscoco/ --workdir /data/merged\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
