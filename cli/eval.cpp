// gauntlet eval: metrics of codes and labels in .npy files, whoever made them.
#include <optional>
#include <thread>

#include "cli/support/code_files.hpp"
#include "cli/support/eval_report.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::cli {
namespace {

constexpr const char* kDefaultMetrics = "map,map@50:first_relevant,pr,precision@100";

struct Options {
  CodeFiles::Paths files;
  std::vector<std::string> metrics;
  std::string ties = "expected";
  std::string per_query;
  bool per_class = false;
  std::optional<int> resamples;
  std::optional<std::uint64_t> seed;
  std::optional<double> confidence;
  int threads = 0;
  bool json = false;
};

/// The names asked for, with the tie rule of --ties where a name says none and ties matter.
Result<std::vector<std::string>> metric_names(const Options& options) {
  GAUNTLET_TRY(const metrics::Ties ties, metrics::ties_from(options.ties));
  std::vector<std::string> names = options.metrics;
  if (names.empty()) {
    names = {"map", "map@50:first_relevant", "pr", "precision@100"};
    if (!options.files.target_labels.empty()) names.emplace_back("t_map");
  }
  for (std::string& text : names) {
    GAUNTLET_TRY(const metrics::ResolvedMetric metric, metrics::resolve_metric(text));
    metrics::MetricName with_ties = metric.name;
    if (text.find('/') == std::string::npos) with_ties.ties = ties;
    text = metric.entry->check(with_ties) ? with_ties.text() : metric.name.text();
  }
  return names;
}

Status check(const Options& options) {
  GAUNTLET_CHECK_OK(check_per_query_path(options.per_query));
  if (options.resamples || (!options.seed && !options.confidence)) return {};
  return fail(ErrorCode::kInvalid, "{} has no effect without --bootstrap N",
              options.seed ? "--seed" : "--confidence");
}

Result<metrics::Evaluation> evaluate(const Options& options, const CodeFiles& files,
                                     const metrics::LabelSets& query_labels, int n_threads,
                                     EvalReport& report) {
  GAUNTLET_TRY(const std::vector<std::string> names, metric_names(options));
  GAUNTLET_TRY(const metrics::PackedCodes query_codes, files.query_codes());
  std::optional<metrics::LabelSets> targets;
  if (files.has_targets()) {
    GAUNTLET_TRY(targets, files.target_labels());
  }
  const ItemFiles items(files);
  GAUNTLET_TRY(metrics::Evaluation evaluation,
               metrics::evaluate({query_codes, query_labels, targets ? &*targets : nullptr}, items, names,
                                 {.n_threads = n_threads}));
  report.query_facts.add(query_codes);
  report.retrieval_facts = items.facts();
  return evaluation;
}

Result<int> run(const Options& options) {
  GAUNTLET_CHECK_OK(check(options));
  GAUNTLET_CHECK_OK(metric_names(options));
  GAUNTLET_TRY(const CodeFiles files, CodeFiles::open(options.files));
  GAUNTLET_TRY(const metrics::LabelSets query_labels, files.query_labels());
  const int n_threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  EvalReport report;
  GAUNTLET_TRY(report.evaluation, evaluate(options, files, query_labels, n_threads, report));
  if (options.resamples) {
    report.bootstrap = {.n_resamples = *options.resamples,
                        .seed = options.seed.value_or(1),
                        .confidence = options.confidence.value_or(0.95),
                        .n_threads = n_threads};
    report.intervals = metrics::bootstrap(report.evaluation, *report.bootstrap);
  }
  for (const metrics::MetricValue& metric : report.evaluation.metrics) {
    if (options.per_class) report.per_class.push_back(metrics::per_class(metric, query_labels));
  }
  if (!options.per_query.empty()) {
    GAUNTLET_CHECK_OK(write_per_query(report.evaluation, options.per_query));
  }
  for (const std::string& remark : remarks_on(report)) note(fmt::format("note: {}\n", remark));
  GAUNTLET_CHECK_OK(options.json ? print_json(to_json(report)) : print(to_text(report)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments
      .add_option("--query-codes", options->files.query_codes,
                  "n x K of any integer or float type; bit = value > 0")
      .required()
      .type_name("NPY");
  arguments.add_option("--retrieval-codes", options->files.retrieval_codes, "N x K")
      .required()
      .type_name("NPY");
  arguments
      .add_option("--query-labels", options->files.query_labels, "n x C of 0 and 1, or one class per row")
      .required()
      .type_name("NPY");
  arguments.add_option("--retrieval-labels", options->files.retrieval_labels, "N x C, or one class per row")
      .required()
      .type_name("NPY");
  arguments
      .add_option("--target-labels", options->files.target_labels,
                  "Labels a targeted attack aimed at, for t_map")
      .type_name("NPY");
  arguments
      .add_option("--metrics", options->metrics,
                  fmt::format("Names, separated by commas (default: {})", kDefaultMetrics))
      .delimiter(',')
      .type_name("NAME");
  arguments.add_option("--ties", options->ties,
                       "Order inside equal distances: expected, stable, best, worst");
  arguments
      .add_option("--packed-bits", options->files.packed_bits,
                  "Codes are u8, packed K bits per row, least significant bit first")
      .number_between(1, metrics::kMaxCodeBits)
      .type_name("K");
  arguments
      .add_option("--per-query", options->per_query,
                  "Write the values of every query: a row each, a column per metric (.csv or .npy)")
      .type_name("FILE");
  arguments.add_flag("--per-class", options->per_class, "Means over the queries of each label, too");
  arguments
      .add_option("--bootstrap", options->resamples,
                  "Confidence intervals from N resamples of the queries (1,000 is usual)")
      .number_between(1, 1'000'000)
      .type_name("N");
  arguments.add_option("--seed", options->seed, "Of the resamples (default 1)");
  arguments
      .add_option("--confidence", options->confidence, "Share of resamples inside an interval (default 0.95)")
      .number_between(0.01, 0.9999)
      .type_name("SHARE");
  arguments.add_option("--threads", options->threads, "Threads (default: all processors)")
      .number_between(1, 1024);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb eval_verb;
constinit const Verb eval_verb{
    .name = "eval",
    .summary = "Retrieval metrics of codes and labels in .npy files",
    .examples =
        "  gauntlet eval --query-codes q.npy --retrieval-codes r.npy --query-labels ql.npy "
        "--retrieval-labels rl.npy\n"
        "  gauntlet eval … --metrics map,map@1000:topk_hits,precision@100 --ties stable --json\n"
        "  gauntlet eval … --target-labels tl.npy --metrics map,t_map\n"
        "  gauntlet eval … --bootstrap 1000 --per-class --per-query values.csv\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
