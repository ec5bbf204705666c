#include "worker/executor/evaluate_draws.hpp"

#include <algorithm>
#include <iostream>

#include "core/metrics/evaluate.hpp"
#include "worker/executor/evaluate_together.hpp"

namespace gauntlet::worker {
namespace {

struct DrawCounts {
  std::int64_t reported = 0;
  std::int64_t resubmitted = 0;
};

Result<DrawCounts> counts_of(const Json& config) {
  const Json& draws = config["draws"];
  const auto number = [&](const char* name) {
    return draws.is_object() && draws.contains(name) && draws[name].is_number_integer()
               ? draws[name].get<std::int64_t>()
               : 0;
  };
  const DrawCounts counts{number("reported"), number("resubmitted")};
  if (counts.resubmitted >= 1 && counts.reported >= counts.resubmitted && counts.reported <= 1000)
    return counts;
  return fail(ErrorCode::kInvalid,
              "the evaluate job's 'draws' is {}; allowed: 1 <= resubmitted <= reported <= 1000",
              draws.dump());
}

/// Sums of the draws seen so far, as an evaluation, and every query's worst.
class Draws {
 public:
  explicit Draws(std::int64_t n_resubmitted) : n_resubmitted_(n_resubmitted) {}

  void add(metrics::Evaluation draw) {
    ++n_;
    if (n_ == 1) {
      for (const metrics::MetricValue& metric : draw.metrics) worst_.push_back(metric.per_query);
      sums_ = std::move(draw);
      return;
    }
    for (std::size_t at = 0; at < draw.metrics.size(); ++at)
      add(draw.metrics[at], sums_.metrics[at], worst_[at]);
  }

  [[nodiscard]] metrics::Evaluation mean() const {
    metrics::Evaluation mean = sums_;
    const auto n = static_cast<double>(n_);
    for (metrics::MetricValue& metric : mean.metrics) {
      metric.value /= n;
      metric.valid /= n;
      for (double& value : metric.per_query) value /= n;
      for (spec::Curve& curve : metric.curves) {
        for (float& y : curve.y) y /= static_cast<float>(n);
      }
    }
    return mean;
  }

  [[nodiscard]] std::vector<spec::ResultRow> resubmitted() const {
    std::vector<spec::ResultRow> rows;
    for (std::size_t at = 0; at < worst_.size(); ++at) {
      if (worst_[at].empty()) continue;
      const metrics::MetricValue& metric = sums_.metrics[at];
      spec::ResultRow row{.metric = fmt::format("{}:resubmit@{}", metric.name, n_resubmitted_),
                          .unit = metric.unit,
                          .higher_is_better = metric.higher_is_better,
                          .n = metric.n_queries};
      for (const double value : worst_[at]) row.value += value / static_cast<double>(worst_[at].size());
      row.per_query.assign(worst_[at].begin(), worst_[at].end());
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  void add(const metrics::MetricValue& draw, metrics::MetricValue& sum, std::vector<double>& worst) const {
    sum.value += draw.value;
    sum.valid += draw.valid;
    for (std::size_t query = 0; query < draw.per_query.size(); ++query) {
      const double value = draw.per_query[query];
      sum.per_query[query] += value;
      if (n_ > n_resubmitted_) continue;
      worst[query] = draw.higher_is_better ? std::min(worst[query], value) : std::max(worst[query], value);
    }
    for (std::size_t index = 0; index < draw.curves.size(); ++index) {
      for (std::size_t at = 0; at < draw.curves[index].y.size(); ++at)
        sum.curves[index].y[at] += draw.curves[index].y[at];
    }
  }

  std::int64_t n_resubmitted_;
  std::int64_t n_ = 0;
  metrics::Evaluation sums_;
  std::vector<std::vector<double>> worst_;  ///< by metric
};

}  // namespace

Result<AttemptResult> run_evaluate_draws(const AttemptContext& attempt, const EvaluationInputs& read,
                                         std::span<const std::string> metrics, ProgressSink& progress) {
  GAUNTLET_TRY(const DrawCounts counts, counts_of(attempt.job.config));
  Draws draws(counts.resubmitted);
  for (std::int64_t draw = 0; draw < counts.reported; ++draw) {
    progress.update(
        {.fraction = static_cast<double>(draw) / static_cast<double>(counts.reported), .phase = "metrics"});
    Codes codes = read.query;
    if (draw > 0) {
      const std::string role = fmt::format("worst_of_{:03}", draw - 1);
      GAUNTLET_TRY(codes, read_codes(attempt, role, read.set.n_items()));
      if (codes.rows != read.query.rows || codes.codes.bits() != read.query.codes.bits()) {
        return fail(ErrorCode::kCorrupt,
                    "input {} has codes of other queries, or of another length, than the first draw has",
                    role);
      }
    }
    const metrics::EvaluationInput input{codes.codes, read.retrieval.codes, read.query_labels,
                                         read.retrieval_labels, read.targets.get()};
    GAUNTLET_TRY(auto evaluation, evaluate_together(attempt, input, metrics, draw));
    if (evaluation) draws.add(std::move(*evaluation));
  }
  if (attempt.rank > 0) return AttemptResult{};
  const metrics::Evaluation mean = draws.mean();
  std::cout << fmt::format("{} queries, the mean of {} draws, the worst of {}\n", mean.n_queries,
                           counts.reported, counts.resubmitted);
  AttemptResult result{.rows = metrics::rows_of(mean), .curves = metrics::curves_of(mean)};
  std::vector<spec::ResultRow> resubmitted = draws.resubmitted();
  result.rows.insert(result.rows.end(), std::make_move_iterator(resubmitted.begin()),
                     std::make_move_iterator(resubmitted.end()));
  return result;
}

}  // namespace gauntlet::worker
