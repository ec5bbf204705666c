// gauntlet import codes: codes made by somebody else's program, as rows beside ours and marked as imported.
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "cli/support/code_files.hpp"
#include "cli/support/mat_arrays.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/net/workdir.hpp"
#include "coordinator/store/import.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImported = "imported";  // as protocol: what keeps them out of other rows' columns
constexpr const char* kEntry = "imported_codes";

spec::Cell cell_of_clean_codes() {
  spec::Cell cell;
  cell.defense = "none";
  cell.attack = "none";
  cell.protocol = kImported;
  cell.direction = "i2t";
  cell.seed = 1;
  return cell;
}

struct Options {
  CodeFiles::Paths files;
  std::string name;
  spec::Cell cell = cell_of_clean_codes();
  std::string from;
  std::vector<std::string> metrics{"map"};
  FolderOptions folder;
  bool json = false;
};

Result<std::string> hash_of(const fs::path& path) {
  GAUNTLET_TRY(const Digest digest, sha256_file(path));
  return to_hex(digest);
}

/// What the numbers depend on: the files' content and the metrics.
Result<spec::JobSpec> job_of(const Options& options, const metrics::Evaluation& evaluation) {
  Json files = Json::object();
  for (const auto& [role, path] : {std::pair("query_codes", options.files.query_codes),
                                   std::pair("retrieval_codes", options.files.retrieval_codes),
                                   std::pair("query_labels", options.files.query_labels),
                                   std::pair("retrieval_labels", options.files.retrieval_labels),
                                   std::pair("target_labels", options.files.target_labels)}) {
    if (path.empty()) continue;
    GAUNTLET_TRY(files[role], hash_of(path));
  }
  spec::JobSpec job;
  job.kind = spec::JobKind::kEvaluate;
  job.entry = kEntry;
  job.version = 1;
  job.seed = options.cell.seed;
  job.config = {
      {"imported", true},        {"from", options.from},       {"files", files},
      {"bits", evaluation.bits}, {"metrics", options.metrics}, {"direction", options.cell.direction}};
  job.title = fmt::format("imported codes {} {}", options.cell.dataset, options.cell.model);
  return job;
}

Json meanings_of(const metrics::Evaluation& evaluation) {
  Json meanings = Json::object();
  for (const metrics::MetricValue& metric : evaluation.metrics) {
    const auto known = metrics::resolve_metric(metric.name);
    if (!known) continue;
    meanings[metric.name] = {{"unit", known->entry->unit},
                             {"higher_is_better", known->entry->higher_is_better},
                             {"targeted", known->entry->about.capabilities.targeted}};
  }
  return meanings;
}

Result<store::ImportedWork> work_of(const Options& options, const metrics::Evaluation& evaluation) {
  GAUNTLET_TRY(const spec::JobSpec job, job_of(options, evaluation));
  store::SubmittedJob submitted;
  GAUNTLET_TRY(submitted.canonical, spec::canonical_text(job));
  submitted.key = JobKey{sha256(submitted.canonical)};
  submitted.title = job.title;
  GAUNTLET_CHECK_OK(store::check_job(submitted));
  store::Submission sweep;
  sweep.name = options.name;
  sweep.spec_text = fmt::format("# codes imported from {}\n", options.from);
  sweep.revision = std::string(revision());
  sweep.metrics = meanings_of(evaluation).dump();
  spec::Cell cell = options.cell;
  cell.bits = evaluation.bits;
  sweep.cells.push_back({.cell = cell, .jobs = {{submitted.key, "evaluate"}}, .metrics = options.metrics});
  store::ImportedWork work;
  const std::int64_t now = SystemClock().wall_ms();
  store::ImportedJob done{
      .key = submitted.key, .worker = kImported, .started_ms = now, .ended_ms = now, .outcome = {}};
  done.outcome.rows = metrics::rows_of(evaluation);
  done.outcome.curves = metrics::curves_of(evaluation);
  GAUNTLET_TRY(done.outcome.environment,
               canonical_json(Json{
                   {"program", "gauntlet import codes"}, {"revision", revision()}, {"from", options.from}}));
  sweep.jobs.push_back(std::move(submitted));
  work.sweeps.push_back(std::move(sweep));
  work.done.push_back(std::move(done));
  return work;
}

Result<metrics::Evaluation> evaluate(const CodeFiles& files, const std::vector<std::string>& names) {
  GAUNTLET_TRY(const metrics::LabelSets query_labels, files.query_labels());
  GAUNTLET_TRY(const metrics::PackedCodes query_codes, files.query_codes());
  std::optional<metrics::LabelSets> targets;
  if (files.has_targets()) {
    GAUNTLET_TRY(targets, files.target_labels());
  }
  const ItemFiles items(files);
  return metrics::evaluate(
      {query_codes, query_labels, targets ? &*targets : nullptr}, items, names,
      {.n_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()))});
}

Status check(Options& options) {
  if (options.cell.direction != "i2t" && options.cell.direction != "t2i")
    return fail(ErrorCode::kInvalid, "--direction is '{}'; allowed: i2t, t2i", options.cell.direction);
  for (std::string& name : options.metrics) {
    GAUNTLET_TRY(const metrics::ResolvedMetric metric, metrics::resolve_metric(name));
    name = metric.name.text();
  }
  std::sort(options.metrics.begin(), options.metrics.end());
  options.metrics.erase(std::unique(options.metrics.begin(), options.metrics.end()), options.metrics.end());
  if (options.from.empty()) options.from = options.files.query_codes.parent_path().filename().string();
  return {};
}

Result<int> run(Options options) {
  GAUNTLET_CHECK_OK(check(options));
  GAUNTLET_TRY(const MatArrays arrays, MatArrays::make());
  for (fs::path* path :
       {&options.files.query_codes, &options.files.retrieval_codes, &options.files.query_labels,
        &options.files.retrieval_labels, &options.files.target_labels}) {
    if (path->empty()) continue;
    GAUNTLET_TRY(*path, arrays.as_npy(*path));
  }
  GAUNTLET_TRY(const CodeFiles files, CodeFiles::open(options.files));
  GAUNTLET_TRY(const metrics::Evaluation evaluation, evaluate(files, options.metrics));
  GAUNTLET_TRY(const store::ImportedWork work, work_of(options, evaluation));
  GAUNTLET_CHECK_OK(make_directories(options.folder.workdir));
  GAUNTLET_TRY(const coordinator::WorkdirLock lock,
               coordinator::WorkdirLock::take(options.folder.workdir, "gauntlet import codes",
                                              options.folder.database));
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(options.folder.database_path()));
  GAUNTLET_TRY(const store::ImportAnswer answer, store.import(work, SystemClock().wall_ms()));
  if (!answer.conflicts.empty())
    return fail(ErrorCode::kRefused, "{}; nothing was imported", answer.conflicts.front().what);
  Json values = Json::object();
  std::string text = fmt::format("sweep {}: {} queries, {} items, {} bits, protocol {}\n", options.name,
                                 evaluation.n_queries, evaluation.n_retrieval, evaluation.bits, kImported);
  for (const metrics::MetricValue& metric : evaluation.metrics) values[metric.name] = metric.value;
  for (const auto& [name, value] : values.items())
    text += fmt::format("  {:<24} {:.4f}\n", name, value.get<double>());
  GAUNTLET_CHECK_OK(options.json ? print_json(Json{{"format", 1},
                                                   {"sweep", options.name},
                                                   {"bits", evaluation.bits},
                                                   {"new_cells", answer.outcome.new_cells},
                                                   {"metrics", values}})
                                 : print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  const auto file = [&](const char* flag, fs::path& path, const char* what) {
    return arguments.add_option(flag, path, what).type_name("NPY|MAT[:ARRAY]");
  };
  file("--query-codes", options->files.query_codes, "n x K of any number type; bit = value > 0").required();
  file("--retrieval-codes", options->files.retrieval_codes, "N x K").required();
  file("--query-labels", options->files.query_labels, "n x C of 0 and 1, or one class per row").required();
  file("--retrieval-labels", options->files.retrieval_labels, "N x C, or one class per row").required();
  file("--target-labels", options->files.target_labels, "Labels a targeted attack aimed at, for t_map");
  arguments.add_option("--name", options->name, "Sweep that the rows belong to").required();
  arguments.add_option("--dataset", options->cell.dataset, "What tables call the dataset").required();
  arguments.add_option("--model", options->cell.model, "What tables call the target model").required();
  arguments.add_option("--defense", options->cell.defense,
                       "Defense the codes were made behind (default none)");
  arguments.add_option("--attack", options->cell.attack, "Attack on the queries (default none)");
  arguments.add_option("--direction", options->cell.direction, "i2t (default) or t2i");
  arguments.add_option("--seed", options->cell.seed, "Seed of their run (default 1)");
  arguments.add_option("--from", options->from,
                       "Where the codes come from, for provenance (default: their folder)");
  arguments.add_option("--metrics", options->metrics, "Names, separated by commas (default map)")
      .delimiter(',');
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb import_codes_verb;
constinit const Verb import_codes_verb{
    .name = "import codes",
    .summary = "Codes of another program (.npy, .mat) as rows beside ours, marked as imported",
    .examples =
        "  gauntlet import codes --name theirs --dataset flickr25k --model their_hash --query-codes q.npy "
        "--retrieval-codes r.npy --query-labels ql.npy --retrieval-labels rl.npy\n"
        "  gauntlet import codes … --query-codes codes.mat:qB --retrieval-codes codes.mat:rB --attack pgd "
        "--metrics "
        "map,precision@100\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
