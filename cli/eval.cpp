// gauntlet eval: metrics of codes and labels in .npy files, whoever made them.
#include <thread>

#include "cli/support/code_files.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::cli {
namespace {

constexpr const char* kDefaultMetrics = "map,map@50:first_relevant,pr,precision@100";

struct Options {
  std::string query_codes, retrieval_codes, query_labels, retrieval_labels, target_labels;
  std::vector<std::string> metrics;
  std::string ties = "expected";
  std::int64_t packed_bits = 0;
  int threads = 0;
  bool json = false;
};

struct Input {
  metrics::PackedCodes query_codes;
  metrics::PackedCodes retrieval_codes;
  std::vector<metrics::LabelSets> labels;  ///< query, retrieval, and target where there is one
};

Result<Input> read_input(const Options& options) {
  Input input;
  GAUNTLET_TRY(input.query_codes, read_codes(options.query_codes, options.packed_bits));
  GAUNTLET_TRY(input.retrieval_codes, read_codes(options.retrieval_codes, options.packed_bits));
  std::vector<std::filesystem::path> paths = {options.query_labels, options.retrieval_labels};
  if (!options.target_labels.empty()) paths.emplace_back(options.target_labels);
  GAUNTLET_TRY(input.labels, read_labels(paths));
  return input;
}

/// The names asked for, with the tie rule of --ties where a name says none and ties matter.
Result<std::vector<std::string>> metric_names(const Options& options) {
  GAUNTLET_TRY(const metrics::Ties ties, metrics::ties_from(options.ties));
  std::vector<std::string> names = options.metrics;
  if (names.empty()) {
    names = {"map", "map@50:first_relevant", "pr", "precision@100"};
    if (!options.target_labels.empty()) names.emplace_back("t_map");
  }
  for (std::string& text : names) {
    GAUNTLET_TRY(const metrics::ResolvedMetric metric, metrics::resolve_metric(text));
    metrics::MetricName with_ties = metric.name;
    if (text.find('/') == std::string::npos) with_ties.ties = ties;
    text = metric.entry->check(with_ties) ? with_ties.text() : metric.name.text();
  }
  return names;
}

Json to_json(const metrics::MetricValue& metric) {
  Json value = {{"value", metric.value}};
  if (metric.curves.empty()) {
    value["valid"] = metric.valid;
    return value;
  }
  const spec::Curve& curve = metric.curves.front();
  value["kind"] = curve.name.substr(curve.name.find(':') + 1);
  value["precision"] = curve.y;
  value["recall"] = curve.x;
  return value;
}

Json to_json(const metrics::Evaluation& evaluation, const Input& input) {
  Json values = Json::object();
  for (const metrics::MetricValue& metric : evaluation.metrics) values[metric.name] = to_json(metric);
  return {
      {"format", 1},
      {"n_queries", evaluation.n_queries},
      {"n_retrieval", evaluation.n_retrieval},
      {"bits", evaluation.bits},
      {"n_without_relevant", evaluation.n_without_relevant},
      {"n_zeros", {{"query", input.query_codes.n_zeros()}, {"retrieval", input.retrieval_codes.n_zeros()}}},
      {"chance_map", evaluation.chance_map},
      {"metrics", values}};
}

std::string to_text(const metrics::Evaluation& evaluation) {
  std::string text = fmt::format("{} queries, {} retrieval items, {} bits\n", evaluation.n_queries,
                                 evaluation.n_retrieval, evaluation.bits);
  if (evaluation.n_without_relevant > 0) {
    text += fmt::format("{} of the queries have no relevant item\n", evaluation.n_without_relevant);
  }
  text += fmt::format("\n{:<34} {:>8} {:>8}\n", "metric", "all", "valid");
  text += fmt::format("{:<34} {:8.4f}\n", "chance_map", evaluation.chance_map);
  for (const metrics::MetricValue& metric : evaluation.metrics) {
    if (metric.name == "chance_map") continue;
    if (metric.curves.empty()) {
      text += fmt::format("{:<34} {:8.4f} {:8.4f}\n", metric.name, metric.value, metric.valid);
      continue;
    }
    text += fmt::format("{:<34} {:8.4f}\n", metric.name + " (area)", metric.value);
    const spec::Curve& curve = metric.curves.front();
    text += fmt::format("  {}\n  {:>10} {:>10}\n", curve.name, "precision", "recall");
    for (std::size_t at = 0; at < curve.x.size(); ++at) {
      text += fmt::format("  {:10.4f} {:10.4f}\n", curve.y[at], curve.x[at]);
    }
  }
  return text;
}

/// Exact zeros are worth a word when the codes have a sign; in 0/1 codes they are simply bits.
void note_zeros(std::string_view which, const metrics::PackedCodes& codes) {
  if (codes.n_zeros() == 0 || !codes.has_negative()) return;
  note(fmt::format("note: {} of the {} codes are exactly 0 and count as bit 0\n",
                   count_of(static_cast<std::size_t>(codes.n_zeros()), "value"), which));
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const std::vector<std::string> names, metric_names(options));
  GAUNTLET_TRY(const Input input, read_input(options));
  const metrics::EvaluationInput evaluation_input{input.query_codes, input.retrieval_codes, input.labels[0],
                                                  input.labels[1],
                                                  input.labels.size() > 2 ? &input.labels[2] : nullptr};
  const int n_threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  GAUNTLET_TRY(const metrics::Evaluation evaluation, metrics::evaluate(evaluation_input, names, n_threads));
  note_zeros("query", input.query_codes);
  note_zeros("retrieval", input.retrieval_codes);
  GAUNTLET_CHECK_OK(options.json ? print_json(to_json(evaluation, input)) : print(to_text(evaluation)));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--query-codes", options->query_codes, "n x K of any integer or float type; bit = value > 0")
      ->required()
      ->type_name("NPY");
  app.add_option("--retrieval-codes", options->retrieval_codes, "N x K")->required()->type_name("NPY");
  app.add_option("--query-labels", options->query_labels, "n x C of 0 and 1, or one class per row")
      ->required()
      ->type_name("NPY");
  app.add_option("--retrieval-labels", options->retrieval_labels, "N x C, or one class per row")
      ->required()
      ->type_name("NPY");
  app.add_option("--target-labels", options->target_labels, "Labels a targeted attack aimed at, for t_map")
      ->type_name("NPY");
  app.add_option("--metrics", options->metrics,
                 fmt::format("Names, separated by commas (default: {})", kDefaultMetrics))
      ->delimiter(',')
      ->type_name("NAME");
  app.add_option("--ties", options->ties, "Order inside equal distances: expected, stable, best, worst");
  app.add_option("--packed-bits", options->packed_bits,
                 "Codes are u8, packed K bits per row, least significant bit first")
      ->check(number_between(1, metrics::kMaxCodeBits))
      ->type_name("K");
  app.add_option("--threads", options->threads, "Threads (default: all processors)")
      ->check(number_between(1, 1024));
  add_json(app, options->json);
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
        "  gauntlet eval … --target-labels tl.npy --metrics map,t_map\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
