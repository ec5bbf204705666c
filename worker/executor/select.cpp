#include "worker/executor/select.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <numeric>

#include "core/artifacts/stand_in.hpp"
#include "core/base/files.hpp"
#include "worker/executor/evaluation_inputs.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "validation_";
constexpr const char* kRowsFile = "rows.json";

/// Mean scores of the candidates.
struct Scores {
  std::vector<std::vector<double>> of_candidates;  ///< one list per candidate, equally long
  std::string unit = "ratio";
  bool higher_is_better = true;

  [[nodiscard]] double mean(std::size_t candidate) const {
    const std::vector<double>& all = of_candidates[candidate];
    return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
  }
  [[nodiscard]] std::size_t best() const {
    std::size_t winner = 0;
    for (std::size_t candidate = 1; candidate < of_candidates.size(); ++candidate) {
      const bool wins = higher_is_better ? mean(candidate) > mean(winner) : mean(candidate) < mean(winner);
      if (wins) winner = candidate;
    }
    return winner;
  }
};

/// The row of a metric out of an evaluation's artifact.
Result<Json> read_score(const AttemptContext& attempt, const std::string& role, const std::string& metric) {
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(attempt, role, spec::JobKind::kEvaluate));
  GAUNTLET_TRY(const std::string text, read_file(artifact.file(kRowsFile)));
  GAUNTLET_TRY(const Json document, parse_json(text, artifact.file(kRowsFile).string()));
  for (const Json& row : document.value("rows", Json::array())) {
    if (row.value("metric", "") != metric) continue;
    if (row.contains("value") && row["value"].is_number()) return row;
    return fail(ErrorCode::kInvalid, "{} has no value of {}: a candidate without a score cannot be compared",
                artifact.folder.string(), metric);
  }
  return fail(ErrorCode::kInvalid, "{} has no row {}: it was not measured on validation items",
              artifact.folder.string(), metric);
}

Result<Scores> read_scores(const AttemptContext& attempt, const Json& rule, const std::string& metric) {
  Scores scores;
  const auto n_scores = rule.value("n_scores", std::size_t{0});
  std::size_t index = 0;
  for (std::size_t candidate = 0; candidate < rule["candidates"].size(); ++candidate) {
    std::vector<double>& own = scores.of_candidates.emplace_back();
    for (std::size_t score = 0; score < n_scores; ++score) {
      GAUNTLET_TRY(const Json row, read_score(attempt, fmt::format("score_{:04}", index++), metric));
      own.push_back(row["value"].get<double>());
      scores.unit = row.value("unit", scores.unit);
      scores.higher_is_better = row.value("higher_is_better", true);
    }
  }
  return scores;
}

Status check_rule(const Json& rule) {
  const bool fits = rule.is_object() && rule.contains("candidates") && rule["candidates"].is_array() &&
                    !rule["candidates"].empty() && rule.value("n_scores", std::size_t{0}) > 0 &&
                    rule.contains("metric") && rule["metric"].is_string();
  if (fits) return {};
  return fail(ErrorCode::kInvalid, "the job's 'select' names no candidates, no scores or no metric");
}

Status copy_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    const fs::path target = to / entry.path().filename();
    if (entry.path().filename() == "manifest.json") continue;
    std::error_code failed;
    fs::create_hard_link(entry.path(), target, failed);
    if (failed) fs::copy(entry.path(), target, fs::copy_options::recursive, failed);
    if (failed) return fail(system_error(failed.value(), "copy a checkpoint to", target));
  }
  if (error) return fail(system_error(error.value(), "list", from));
  return {};
}

/// The value of an option as a number, for a row.
double number_of(const Json& candidates, const std::string& option, const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number()) return value.get<double>();
  std::vector<Json> seen;
  for (const Json& candidate : candidates) {
    const Json& other = candidate["values"][option];
    if (std::ranges::find(seen, other) == seen.end()) seen.push_back(other);
  }
  return static_cast<double>(std::ranges::find(seen, value) - seen.begin());
}

std::vector<spec::ResultRow> rows_of(const Json& rule, const std::string& metric, const Scores& scores,
                                     std::size_t winner) {
  const auto reading = [](std::string name, double value, std::string unit, bool higher_is_better,
                          std::int64_t n) {
    return spec::ResultRow{.metric = std::move(name),
                           .value = value,
                           .unit = std::move(unit),
                           .higher_is_better = higher_is_better,
                           .n = n};
  };
  const std::string prefix = fmt::format("selected_{}:", rule.value("kind", ""));
  const auto n = static_cast<std::int64_t>(scores.of_candidates[winner].size());
  std::vector<spec::ResultRow> rows = {
      reading(prefix + metric, scores.mean(winner), scores.unit, scores.higher_is_better, n),
      reading(prefix + "candidate", static_cast<double>(winner), "count", true, 1)};
  for (const auto& [option, value] : rule["candidates"][winner]["values"].items()) {
    rows.push_back(reading(prefix + option, number_of(rule["candidates"], option, value), "value", true, 1));
  }
  return rows;
}

}  // namespace

Result<AttemptResult> publish_validation(const AttemptContext& attempt, const data::PreparedSet& set,
                                         AttemptResult result) {
  if (!set.about().contains("validation")) {
    return fail(
        ErrorCode::kInvalid,
        "the job measures on validation items, and its input 'data' is no validation split: its query "
        "part holds the test's queries");
  }
  Json rows = Json::array();
  for (spec::ResultRow& row : result.rows) {
    row.metric.insert(0, kPrefix);
    rows.push_back({{"metric", row.metric},
                    {"value", std::isfinite(row.value) ? Json(row.value) : Json()},
                    {"n", row.n},
                    {"unit", row.unit},
                    {"higher_is_better", row.higher_is_better}});
  }
  for (spec::Curve& curve : result.curves) curve.name.insert(0, kPrefix);
  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  GAUNTLET_CHECK_OK(write_file_atomic(draft.folder() / kRowsFile,
                                      Json{{"format", 1}, {"rows", std::move(rows)}}.dump(2) + "\n"));
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, Json::object()));
  result.manifest_hash = artifact.manifest_hash;
  return result;
}

Result<AttemptResult> run_select(const AttemptContext& attempt) {
  const Json& rule = attempt.job.config["select"];
  GAUNTLET_CHECK_OK(check_rule(rule));
  const std::string metric = std::string(kPrefix) + rule["metric"].get<std::string>();
  GAUNTLET_TRY(const Scores scores, read_scores(attempt, rule, metric));
  const std::size_t winner = scores.best();
  const Json& chosen = rule["candidates"][winner];

  GAUNTLET_TRY(artifacts::Draft draft, attempt.store.begin(attempt.key));
  Json about = Json::object();
  if (attempt.job.find_input("candidate_000") != nullptr) {
    const bool is_model = rule.value("kind", "") == "model";
    GAUNTLET_TRY(const artifacts::Artifact made,
                 open_input(attempt, fmt::format("candidate_{:03}", winner),
                            is_model ? spec::JobKind::kTrainModel : spec::JobKind::kTrainDefense));
    GAUNTLET_CHECK_OK(copy_files(made.folder, draft.folder()));
    about = made.about;
  }
  Json candidates = Json::array();
  for (std::size_t at = 0; at < scores.of_candidates.size(); ++at) {
    candidates.push_back({{"values", rule["candidates"][at]["values"]},
                          {"scores", scores.of_candidates[at]},
                          {"mean", scores.mean(at)}});
  }
  const Json selection = {{"format", 1},
                          {"metric", metric},
                          {"higher_is_better", scores.higher_is_better},
                          {"candidates", std::move(candidates)},
                          {"chosen", winner}};
  GAUNTLET_CHECK_OK(write_file_atomic(draft.folder() / "selection.json", selection.dump(2) + "\n"));
  about["chosen"] = {
      {"index", winner}, {"values", chosen["values"]}, {"config", chosen.value("config", Json::object())}};
  GAUNTLET_TRY(const artifacts::Artifact artifact,
               attempt.store.publish(std::move(draft), attempt.job, attempt.key, about));
  std::cout << fmt::format("chose {} of {} candidates: {} (mean {} {:.4f})\n", winner + 1,
                           scores.of_candidates.size(), chosen["values"].dump(), metric, scores.mean(winner));
  return AttemptResult{.rows = rows_of(rule, metric, scores, winner),
                       .manifest_hash = artifact.manifest_hash};
}

}  // namespace gauntlet::worker
