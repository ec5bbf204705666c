#include "cli/support/eval_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/metrics/metric_name.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::size_t kShown = 8;         ///< bits of a long list
constexpr std::int64_t kEnoughRows = 32;  ///< fewer rows may share a bit by chance

/// "3 of the 32 bits of the retrieval codes are the same in all 500 rows (bits 0, 5, 7)"
std::optional<std::string> remark_on_constant_bits(std::string_view which, const CodeFacts& facts,
                                                   std::int64_t bits) {
  const std::vector<std::int64_t> constant = facts.constant_bits(bits);
  if (facts.n < 2 || constant.empty()) return std::nullopt;
  if (static_cast<std::int64_t>(constant.size()) == bits) {
    return fmt::format("all {} {} codes are the same, so they tell nothing apart", facts.n, which);
  }
  if (facts.n < kEnoughRows) return std::nullopt;
  const std::size_t n_shown = std::min(kShown, constant.size());
  const bool one = constant.size() == 1;
  return fmt::format(
      "{} of the {} bits of the {} codes {} the same in all {} rows ({} {}{})", constant.size(), bits, which,
      one ? "is" : "are", facts.n, one ? "bit" : "bits",
      fmt::join(constant.begin(), constant.begin() + static_cast<std::ptrdiff_t>(n_shown), ", "),
      n_shown < constant.size() ? ", …" : "");
}

/// Exact zeros are worth a word when the codes have a sign; in 0/1 codes they are simply bits.
std::optional<std::string> remark_on_zeros(std::string_view which, const CodeFacts& facts) {
  if (facts.n_zeros == 0 || !facts.has_negative) return std::nullopt;
  return fmt::format("{} of the {} codes are exactly 0 and count as bit 0",
                     count_of(static_cast<std::size_t>(facts.n_zeros), "value"), which);
}

std::optional<std::string> remark_on_cutoff(const metrics::MetricValue& metric,
                                            const metrics::Evaluation& evaluation) {
  const Result<metrics::MetricName> name = metrics::MetricName::parse(metric.name);
  if (!name) return std::nullopt;
  if (name->base == "precision_radius") {
    if (name->at < evaluation.bits) return std::nullopt;
    return fmt::format("every item lies within the radius of '{}': codes have {} bits", metric.name,
                       evaluation.bits);
  }
  if (name->at <= evaluation.n_retrieval) return std::nullopt;
  return fmt::format("'{}' looks at {} items, but there are only {}", metric.name, name->at,
                     evaluation.n_retrieval);
}

Json to_json(const metrics::Interval& interval) { return Json::array({interval.low, interval.high}); }

Json to_json(const metrics::MetricValue& metric) {
  Json value = {{"value", metric.value}};
  if (metric.curves.empty()) {
    value["valid"] = metric.valid;
    value["unit"] = metric.unit;
    return value;
  }
  const spec::Curve& curve = metric.curves.front();
  value["kind"] = curve.name.substr(curve.name.find(':') + 1);
  value["precision"] = curve.y;
  value["recall"] = curve.x;
  return value;
}

Json to_json(const std::vector<metrics::ClassMean>& classes) {
  Json all = Json::array();
  for (const metrics::ClassMean& mean : classes) {
    all.push_back({{"class", mean.label},
                   {"n_queries", mean.n_queries},
                   {"n_valid", mean.n_valid},
                   {"value", mean.value},
                   {"valid", mean.valid}});
  }
  return all;
}

std::string table_of_classes(const EvalReport& report) {
  std::string text = fmt::format("\n{:>6} {:>8}", "class", "queries");
  std::vector<const std::vector<metrics::ClassMean>*> columns;
  for (std::size_t metric = 0; metric < report.per_class.size(); ++metric) {
    if (report.per_class[metric].empty()) continue;
    columns.push_back(&report.per_class[metric]);
    text += fmt::format(" {:>12}", report.evaluation.metrics[metric].name);
  }
  text += "\n";
  for (std::size_t row = 0; !columns.empty() && row < columns.front()->size(); ++row) {
    text += fmt::format("{:>6} {:>8}", (*columns.front())[row].label, (*columns.front())[row].n_queries);
    for (std::size_t column = 0; column < columns.size(); ++column) {
      text += fmt::format(" {:>12.4f}", (*columns[column])[row].value);
    }
    text += "\n";
  }
  return text;
}

}  // namespace

std::vector<std::string> remarks_on(const EvalReport& report) {
  const metrics::Evaluation& evaluation = report.evaluation;
  std::vector<std::string> remarks;
  const auto add = [&](std::optional<std::string> remark) {
    if (remark) remarks.push_back(std::move(*remark));
  };
  if (evaluation.n_queries > evaluation.n_retrieval) {
    remarks.push_back(
        fmt::format("there are more queries ({}) than retrieval items ({}); are the files swapped?",
                    evaluation.n_queries, evaluation.n_retrieval));
  }
  add(remark_on_zeros("query", report.query_facts));
  add(remark_on_zeros("retrieval", report.retrieval_facts));
  add(remark_on_constant_bits("query", report.query_facts, evaluation.bits));
  add(remark_on_constant_bits("retrieval", report.retrieval_facts, evaluation.bits));
  if (evaluation.n_without_relevant == evaluation.n_queries) {
    remarks.emplace_back(
        "no query has a relevant item; do the columns of both label files mean the same labels?");
  }
  for (const metrics::MetricValue& metric : evaluation.metrics) add(remark_on_cutoff(metric, evaluation));
  return remarks;
}

Json to_json(const EvalReport& report) {
  const metrics::Evaluation& evaluation = report.evaluation;
  Json values = Json::object();
  for (std::size_t at = 0; at < evaluation.metrics.size(); ++at) {
    const metrics::MetricValue& metric = evaluation.metrics[at];
    Json value = to_json(metric);
    if (at < report.intervals.size() && !metric.per_query.empty()) {
      value["interval"] = to_json(report.intervals[at].value);
      value["valid_interval"] = to_json(report.intervals[at].valid);
    }
    if (at < report.per_class.size() && !metric.per_query.empty()) {
      value["per_class"] = to_json(report.per_class[at]);
    }
    values[metric.name] = std::move(value);
  }
  Json document = {
      {"format", 1},
      {"n_queries", evaluation.n_queries},
      {"n_retrieval", evaluation.n_retrieval},
      {"bits", evaluation.bits},
      {"n_without_relevant", evaluation.n_without_relevant},
      {"n_zeros", {{"query", report.query_facts.n_zeros}, {"retrieval", report.retrieval_facts.n_zeros}}},
      {"chance_map", evaluation.chance_map},
      {"remarks", remarks_on(report)},
      {"metrics", values}};
  if (report.bootstrap) {
    document["bootstrap"] = {{"resamples", report.bootstrap->n_resamples},
                             {"seed", report.bootstrap->seed},
                             {"confidence", report.bootstrap->confidence}};
  }
  return document;
}

std::string to_text(const EvalReport& report) {
  const metrics::Evaluation& evaluation = report.evaluation;
  std::string text = fmt::format("{} queries, {} retrieval items, {} bits\n", evaluation.n_queries,
                                 evaluation.n_retrieval, evaluation.bits);
  if (evaluation.n_without_relevant > 0) {
    text += fmt::format("{} of the queries have no relevant item\n", evaluation.n_without_relevant);
  }
  text += fmt::format("\n{:<34} {:>8} {:>8}", "metric", "all", "valid");
  if (report.bootstrap) text += fmt::format("  {:g} % interval of all", 100 * report.bootstrap->confidence);
  text += fmt::format("\n{:<34} {:8.4f}\n", "chance_map", evaluation.chance_map);
  for (std::size_t at = 0; at < evaluation.metrics.size(); ++at) {
    const metrics::MetricValue& metric = evaluation.metrics[at];
    if (metric.name == "chance_map") continue;
    if (metric.curves.empty()) {
      text += fmt::format("{:<34} {:8.4f} {:8.4f}", metric.name, metric.value, metric.valid);
      if (report.bootstrap) {
        text +=
            fmt::format("  {:.4f} – {:.4f}", report.intervals[at].value.low, report.intervals[at].value.high);
      }
      text += "\n";
      continue;
    }
    text += fmt::format("{:<34} {:8.4f}\n", metric.name + " (area)", metric.value);
    const spec::Curve& curve = metric.curves.front();
    text += fmt::format("  {}\n  {:>10} {:>10}\n", curve.name, "precision", "recall");
    for (std::size_t point = 0; point < curve.x.size(); ++point) {
      text += fmt::format("  {:10.4f} {:10.4f}\n", curve.y[point], curve.x[point]);
    }
  }
  if (!report.per_class.empty()) text += table_of_classes(report);
  return text;
}

Status check_per_query_path(const std::filesystem::path& path) {
  if (path.empty() || path.extension() == ".csv" || path.extension() == ".npy") return {};
  return fail(ErrorCode::kInvalid, "--per-query writes .csv or .npy, not '{}'", path.string());
}

Status write_per_query(const metrics::Evaluation& evaluation, const std::filesystem::path& path) {
  std::vector<const metrics::MetricValue*> columns;
  for (const metrics::MetricValue& metric : evaluation.metrics) {
    if (!metric.per_query.empty()) columns.push_back(&metric);
  }
  const std::size_t n_queries = static_cast<std::size_t>(evaluation.n_queries);
  if (path.extension() == ".npy") {
    std::vector<double> values;
    for (std::size_t query = 0; query < n_queries; ++query) {
      for (const metrics::MetricValue* metric : columns) values.push_back(metric->per_query[query]);
    }
    return io::write_npy<double>(path, {evaluation.n_queries, static_cast<std::int64_t>(columns.size())},
                                 std::span<const double>(values));
  }
  std::string text = "query";
  for (const metrics::MetricValue* metric : columns) text += "," + metric->name;
  text += "\n";
  for (std::size_t query = 0; query < n_queries; ++query) {
    text += fmt::format("{}", query);
    for (const metrics::MetricValue* metric : columns) text += fmt::format(",{}", metric->per_query[query]);
    text += "\n";
  }
  return write_file_atomic(path, text);
}

}  // namespace gauntlet::cli
