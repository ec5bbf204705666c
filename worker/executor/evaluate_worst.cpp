#include "worker/executor/evaluate_worst.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>
#include <optional>

#include "core/metrics/bootstrap.hpp"
#include "core/metrics/reference_levels.hpp"
#include "core/metrics/refusals.hpp"
#include "core/metrics/worst_case.hpp"

namespace gauntlet::worker {
namespace {

constexpr int kResamples = 10'000;
constexpr std::string_view kClean = "clean";

Result<std::vector<std::string>> member_names(const Json& config) {
  const Json& worst = config["worst"];
  std::vector<std::string> names;
  if (worst.is_object() && worst.contains("members") && worst["members"].is_array()) {
    for (const Json& name : worst["members"]) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
    if (names.size() == worst["members"].size()) return names;
  }
  return fail(ErrorCode::kInvalid, "the evaluate job's 'worst.members' is not a list of names");
}

/// Codes of the members, in the order of their names.
Result<std::vector<Codes>> read_members(const AttemptContext& attempt, const EvaluationInputs& read,
                                        std::size_t n_members) {
  std::vector<Codes> members;
  for (std::size_t index = 0; index < n_members; ++index) {
    const std::string role = fmt::format("worst_of_{:03}", index);
    GAUNTLET_TRY(Codes codes, read_codes(attempt, role, read.set.n_items()));
    if (codes.rows != read.query.rows || codes.codes.bits() != read.query.codes.bits()) {
      return fail(ErrorCode::kCorrupt,
                  "input {} has codes of other queries, or of another length, than the "
                  "clean queries have",
                  role);
    }
    if (codes.refusal_scores.size() != read.query.refusal_scores.size())
      return fail(ErrorCode::kCorrupt, "input {} has {} refusals and the clean queries {}", role,
                  codes.refusal_scores.size(), read.query.refusal_scores.size());
    if (!codes.refusal_scores.empty()) {
      GAUNTLET_TRY(codes.codes, metrics::answered_codes(codes.codes, read.query.codes,
                                                        metrics::refused(codes.refusal_scores)));
    }
    members.push_back(std::move(codes));
  }
  return members;
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Rows of one attempt, as they are made.
class Rows {
 public:
  void add(std::string metric, double value, std::int64_t n, bool higher_is_better = true) {
    rows_.push_back(
        {.metric = std::move(metric), .value = value, .higher_is_better = higher_is_better, .n = n});
  }
  /// The mean of values per query, which are kept beside it.
  void add_level(const std::string& metric, const std::vector<double>& values, bool higher_is_better) {
    add(metric, mean_of(values), static_cast<std::int64_t>(values.size()), higher_is_better);
    rows_.back().per_query.assign(values.begin(), values.end());
  }
  void append(std::vector<spec::ResultRow> rows) {
    rows_.insert(rows_.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }
  [[nodiscard]] std::vector<spec::ResultRow> take() { return std::move(rows_); }

 private:
  std::vector<spec::ResultRow> rows_;
};

/// Ends of the percentile interval over queries. One seed for all jobs, so that equally many queries are
/// resampled alike everywhere and differences of two jobs are paired.
void add_intervals(const metrics::Evaluation& evaluation, int n_threads, Rows& rows) {
  const std::vector<metrics::MetricInterval> intervals =
      metrics::bootstrap(evaluation, {.n_resamples = kResamples, .n_threads = n_threads});
  for (std::size_t index = 0; index < intervals.size(); ++index) {
    const metrics::MetricValue& metric = evaluation.metrics[index];
    if (metric.per_query.empty()) continue;
    rows.add(metric.name + ":ci_low", intervals[index].value.low, metric.n_queries, metric.higher_is_better);
    rows.add(metric.name + ":ci_high", intervals[index].value.high, metric.n_queries,
             metric.higher_is_better);
  }
}

/// What each member contributes to the worst MAP.
void add_members(const metrics::WorstCase& worst, std::int64_t n, Rows& rows) {
  double best = worst.map.mean.front();
  for (std::size_t member = 0; member < worst.names.size(); ++member) {
    const std::string& name = worst.names[member];
    rows.add("member_map:" + name, worst.map.mean[member], n);
    rows.add("member_share:" + name, worst.map.share[member], n);
    rows.add("member_rise:" + name, worst.map.rise[member], n);
    best = std::min(best, worst.map.mean[member]);
  }
  rows.add("map:best_single", best, n);
}

/// How many queries of each member the pipeline refuses.
void add_refusals(std::span<const metrics::WorstMember> members, Rows& rows) {
  for (const metrics::WorstMember& member : members) {
    const auto n = static_cast<std::int64_t>(member.refused.size());
    rows.add("member_refused:" + member.name,
             static_cast<double>(std::ranges::count(member.refused, 1)) / static_cast<double>(n), n);
  }
}

struct Levels {
  std::string metric;  ///< "map", "t_map"
  const metrics::LabelSets& labels;
  metrics::Sense sense;
};

/// Chance, of own labels; nothing else that follows needs it.
Result<double> add_levels(const AttemptContext& attempt, const EvaluationInputs& read, const Levels& what,
                          const metrics::RetrievalIndex& index, Rows& rows) {
  std::vector<std::uint8_t> bytes;
  std::vector<std::int64_t> train_rows;
  const std::vector<std::int64_t>& train = read.set.rows(data::Part::kTrain);
  const std::vector<std::uint8_t> all = read.retrieval.codes.to_bytes();
  const std::size_t n_bytes = (static_cast<std::size_t>(read.retrieval.codes.bits()) + 7) / 8;
  for (std::size_t item = 0; item < read.retrieval.rows.size(); ++item) {
    if (!std::binary_search(train.begin(), train.end(), read.retrieval.rows[item])) continue;
    train_rows.push_back(read.retrieval.rows[item]);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(item * n_bytes);
    bytes.insert(bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(n_bytes));
  }
  GAUNTLET_TRY(const metrics::PackedCodes train_codes,
               metrics::PackedCodes::from_packed(bytes, read.retrieval.codes.bits()));
  GAUNTLET_TRY(const metrics::LabelSets train_labels, labels_of(read.set, train_rows));
  const metrics::ReferenceLevels levels = metrics::reference_levels(
      index, what.labels, train_labels, train_codes, what.sense, {.n_threads = attempt.threads});
  const bool is_own = what.sense == metrics::Sense::kLower;
  const auto add = [&](std::string_view level, const std::vector<double>& values) {
    rows.add_level(fmt::format("{}:{}", what.metric, level), values, is_own);
  };
  add("chance", levels.chance);
  add("random_code", levels.random_code);
  add(is_own ? "anchor_floor" : "anchor", levels.anchor);
  add(is_own ? "oracle_floor" : "oracle", levels.oracle);
  if (is_own) {
    add("absolute_floor", levels.absolute);
    add("anchor_ceiling", levels.own_anchor);
  }
  return mean_of(levels.chance);
}

/// (worst - chance) / (clean MAP of the undefended model - chance). No share of a model that retrieves no
/// better than chance: there is nothing to keep, and the quotient would praise whatever lowers MAP.
Status add_kept_share(const AttemptContext& attempt, const EvaluationInputs& read,
                      const metrics::WorstCase& worst, double chance, Rows& rows) {
  double clean = worst.map.mean.front();
  if (attempt.job.find_input("base_query_codes") != nullptr) {
    GAUNTLET_TRY(const Codes query, read_codes(attempt, "base_query_codes", read.set.n_items()));
    std::optional<Codes> retrieval;
    if (attempt.job.find_input("base_retrieval_codes") != nullptr) {
      GAUNTLET_TRY(retrieval, read_codes(attempt, "base_retrieval_codes", read.set.n_items()));
    }
    const Codes& items = retrieval ? *retrieval : read.retrieval;
    GAUNTLET_TRY(const metrics::LabelSets item_labels, labels_of(read.set, items.rows));
    const std::vector<std::string> names = {"map"};
    GAUNTLET_TRY(const metrics::Evaluation base,
                 metrics::evaluate({query.codes, items.codes, read.query_labels, item_labels}, names,
                                   attempt.threads));
    clean = base.metrics.front().value;
  }
  const auto n = static_cast<std::int64_t>(read.query.rows.size());
  rows.add("map:clean_undefended", clean, n);
  if (clean > chance) rows.add("kept_share", (mean_of(worst.map.worst) - chance) / (clean - chance), n);
  return {};
}

}  // namespace

Result<AttemptResult> run_evaluate_worst(const AttemptContext& attempt, const EvaluationInputs& read,
                                         std::span<const std::string> metrics, ProgressSink& progress) {
  GAUNTLET_TRY(const std::vector<std::string> names, member_names(attempt.job.config));
  GAUNTLET_TRY(const std::vector<Codes> codes, read_members(attempt, read, names.size()));
  std::vector<std::vector<std::uint8_t>> refused = {metrics::refused(read.query.refusal_scores)};
  for (const Codes& member : codes) refused.push_back(metrics::refused(member.refusal_scores));
  std::vector<metrics::WorstMember> members = {{std::string(kClean), &read.query.codes, refused.front()}};
  for (std::size_t index = 0; index < names.size(); ++index)
    members.push_back({names[index], &codes[index].codes, refused[index + 1]});

  progress.update({.phase = "metrics"});
  const metrics::EvaluationInput input{read.query.codes, read.retrieval.codes, read.query_labels,
                                       read.retrieval_labels, read.targets.get()};
  GAUNTLET_TRY(const metrics::WorstCase worst,
               metrics::evaluate_worst(input, members, metrics, attempt.threads));
  const auto n = static_cast<std::int64_t>(read.query.rows.size());
  Rows rows;
  rows.append(metrics::rows_of(worst.evaluation));
  for (const metrics::MetricValue& clean : worst.of_first) {
    rows.add(clean.name + ":clean", clean.value, n, clean.higher_is_better);
  }
  add_intervals(worst.evaluation, attempt.threads, rows);
  add_members(worst, n, rows);
  if (!refused.front().empty()) add_refusals(members, rows);

  progress.update({.fraction = 0.5, .phase = "reference levels"});
  const metrics::ItemsInMemory items(read.retrieval.codes, read.retrieval_labels);
  GAUNTLET_TRY(const metrics::RetrievalIndex index, metrics::RetrievalIndex::build(items, attempt.threads));
  GAUNTLET_TRY(const double chance,
               add_levels(attempt, read, {"map", read.query_labels, metrics::Sense::kLower}, index, rows));
  if (read.targets) {
    GAUNTLET_CHECK_OK(
        add_levels(attempt, read, {"t_map", *read.targets, metrics::Sense::kHigher}, index, rows));
  }
  GAUNTLET_CHECK_OK(add_kept_share(attempt, read, worst, chance, rows));
  std::cout << fmt::format(
      "{} queries, {} attacks and the clean queries: worst MAP {:.4f}, best single {:.4f}, "
      "clean {:.4f}, chance {:.4f}\n",
      n, names.size(), mean_of(worst.map.worst),
      *std::min_element(worst.map.mean.begin(), worst.map.mean.end()), worst.map.mean.front(), chance);
  return AttemptResult{.rows = rows.take(), .curves = metrics::curves_of(worst.evaluation)};
}

}  // namespace gauntlet::worker
