// A database of defenses under attack, with scores per query: what robustness checks read.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/spec/attack_scope.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::testing_support {

inline constexpr double kAttackBudget = 8.0 / 255;

inline std::vector<float> per_query(double mean) {
  std::vector<float> values(60);
  for (std::size_t query = 0; query < values.size(); ++query)
    values[query] = static_cast<float>(mean + 0.1 * std::sin(static_cast<double>(query)));
  return values;
}

/// A cell by what was done to it.
struct AttackedCell {
  std::string defense, attack, protocol;
  Json options = {};  ///< of the attack; null: clean
  double map = 0;
  std::string entry = "apgd";
  std::string model = "m";     ///< the inputs were made for
  std::size_t on_queries = 0;  ///< of the 60; 0: all
};

inline store::SubmittedJob job_of(const std::string& kind, const std::string& entry, const Json& config,
                                  const Json& inputs) {
  store::SubmittedJob job;
  job.canonical =
      canonical_json(
          {{"kind", kind}, {"entry", entry}, {"version", 1}, {"config", config}, {"inputs", inputs}})
          .value();
  job.key = JobKey{sha256(job.canonical)};
  job.title = kind;
  return job;
}

struct PlannedRows {
  JobKey key;
  std::vector<spec::ResultRow> rows;
};

inline void add_job(store::Submission& submission, store::CellJob part, const store::SubmittedJob& job,
                    store::SubmittedCell& cell) {
  const auto same = [&](const store::SubmittedJob& other) { return other.key == job.key; };
  if (std::ranges::none_of(submission.jobs, same)) submission.jobs.push_back(job);
  cell.jobs.push_back(std::move(part));
}

/// Every cell with its encode, craft and evaluate job; all done.
inline void fill_attacked(store::JobStore& store, const std::string& sweep,
                          const std::vector<AttackedCell>& cells) {
  store::Submission submission;
  submission.name = sweep;
  submission.spec_text = "gauntlet: 1\n";
  std::vector<PlannedRows> done;
  for (const AttackedCell& item : cells) {
    store::SubmittedCell cell;
    cell.cell = {.dataset = "d",
                 .model = "m",
                 .bits = 16,
                 .defense = item.defense,
                 .attack = item.attack,
                 .protocol = item.protocol,
                 .direction = "i2t",
                 .variant = "",
                 .seed = 1};
    cell.metrics = {"map"};
    const Json defended = {{"name", item.defense}};
    const auto encode =
        job_of("encode", item.defense, {{"for", item.attack + item.protocol}}, {{"model", "m"}});
    add_job(submission, {encode.key, "encode_query"}, encode, cell);
    if (!item.options.is_null()) {
      const Json config = {{"attack", item.options},
                           {"defense", item.protocol == "adaptive" ? defended : Json()},
                           {"for", item.attack}};
      const auto craft = job_of("craft", item.entry, config, {{"model", item.model}});
      add_job(submission, {craft.key, "craft"}, craft, cell);
      done.push_back({craft.key,
                      {{.metric = "linf", .value = 8, .unit = "grey_levels", .n = 60},
                       {.metric = "no_gradient", .value = 0, .unit = "value", .n = 60}}});
    }
    Json measured = {{"of", item.defense + item.attack + item.protocol}};
    if (item.on_queries > 0) measured["on_queries"] = item.on_queries;
    const auto evaluate = job_of("evaluate", "", measured, Json::object());
    add_job(submission, {evaluate.key, "evaluate"}, evaluate, cell);
    spec::ResultRow map = ratio("map", item.map);
    const std::vector<float> all = per_query(item.map);
    for (const std::size_t query : spec::kept_queries(all.size(), measured, JobKey{}))
      map.per_query.push_back(all[query]);
    done.push_back({evaluate.key, {map, ratio("chance_map", 0.3)}});
    submission.cells.push_back(std::move(cell));
  }
  GAUNTLET_CHECK(store.submit(submission, 1000).has_value());
  std::vector<engine::Transition> batch = {worker_joined()};
  std::uint64_t lease = store.load()->last_lease.value;
  for (const store::SubmittedJob& job : submission.jobs) {
    const auto ids = store.select(
        {.sweep = {}, .states = {}, .key_prefix = job.key.hex(), .where = "", .exclusive = false});
    GAUNTLET_CHECK(ids.has_value() && ids->size() == 1);
    if (store.details(*ids)->front().state == engine::JobStateTag::kDone) continue;
    std::vector<spec::ResultRow> rows;
    for (const PlannedRows& planned : done) {
      if (planned.key == job.key) rows = planned.rows;
    }
    for (engine::Transition& transition : finish_job(ids->front(), LeaseId{++lease}, AttemptNo{1}, rows))
      batch.push_back(std::move(transition));
  }
  GAUNTLET_CHECK(store.apply(batch).has_value());
}

inline Json apgd_options(int steps) {
  return {{"steps", steps}, {"epsilon_image", kAttackBudget}, {"select", "ap"}};
}

inline std::vector<AttackedCell> attacked_cells() {
  return {{"drfgd", "none", "none", {}, 0.7},
          {"drfgd", "APGD", "adaptive", apgd_options(100), 0.6},
          {"drfgd", "APGD static", "static", apgd_options(100), 0.65},
          {"drfgd", "APGD 1", "adaptive", apgd_options(1), 0.5},
          {"drfgd", "moved", "static", apgd_options(100), 0.66, "apgd", "another"},
          {"drfgd", "noise", "static", {{"draw", 1}, {"epsilon_image", kAttackBudget}}, 0.69, "noise"},
          {"none", "none", "none", {}, 0.72},
          {"none", "APGD", "static", apgd_options(100), 0.4}};
}

}  // namespace gauntlet::testing_support
