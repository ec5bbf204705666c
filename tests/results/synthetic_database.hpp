// A database made by code: cells with numbers, through the same store that a coordinator writes with.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/store/job_store.hpp"
#include "core/base/check.hpp"
#include "core/base/json.hpp"
#include "core/spec/cell.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::testing_support {

/// A cell, the numbers its evaluate job reports (nothing: the job is not done), and the metrics it must have.
struct SyntheticCell {
  spec::Cell cell;
  std::optional<std::vector<spec::ResultRow>> rows;
  std::vector<std::string> expected = {"map"};
  std::int64_t model_version = 1;
};

inline spec::ResultRow ratio(std::string metric, double value, bool higher_is_better = true) {
  return {.metric = std::move(metric),
          .value = value,
          .unit = "ratio",
          .higher_is_better = higher_is_better,
          .n = 300};
}

inline store::SubmittedJob make_job(const std::string& kind, const std::string& entry, std::int64_t version,
                                    const Json& config, std::vector<JobKey> needs) {
  store::SubmittedJob job;
  Json form = {{"kind", kind}, {"entry", entry}, {"version", version}, {"config", config}};
  form["inputs"] = Json::object();
  for (std::size_t i = 0; i < needs.size(); ++i) form["inputs"][fmt::format("input{}", i)] = needs[i].hex();
  job.canonical = canonical_json(form).value();
  job.key = JobKey{sha256(job.canonical)};
  job.title = kind + " " + entry;
  job.needs = std::move(needs);
  return job;
}

/// One shared train_model job per dataset, model, version and seed, one evaluate job per cell.
inline store::Submission make_submission(const std::string& sweep, const std::vector<SyntheticCell>& cells) {
  store::Submission submission;
  submission.name = sweep;
  submission.spec_text = "gauntlet: 1\n";
  submission.spec_path = sweep + ".yaml";
  std::set<JobKey> known;
  for (const SyntheticCell& item : cells) {
    const spec::Cell& cell = item.cell;
    const store::SubmittedJob model =
        make_job("train_model", cell.model, item.model_version,
                 {{"dataset", cell.dataset}, {"bits", cell.bits}, {"seed", cell.seed}}, {});
    const store::SubmittedJob evaluate = make_job("evaluate", "", 1,
                                                  {{"defense", cell.defense},
                                                   {"attack", cell.attack},
                                                   {"protocol", cell.protocol},
                                                   {"direction", cell.direction},
                                                   {"variant", cell.variant}},
                                                  {model.key});
    if (known.insert(model.key).second) submission.jobs.push_back(model);
    if (known.insert(evaluate.key).second) submission.jobs.push_back(evaluate);
    submission.cells.push_back(
        {cell, {{model.key, "train_model"}, {evaluate.key, "evaluate"}}, item.expected});
  }
  return submission;
}

inline constexpr const char* kEnvironment =
    R"({"device":"cpu","revision":"abc1234","threads":2,"versions":{"gauntlet":"0.1.0","torch":"2.15.0"},"world":1})";

/// Leases and finishes a job as the engine would.
inline std::vector<engine::Transition> finish_job(JobId job, LeaseId lease, AttemptNo attempt,
                                                  std::vector<spec::ResultRow> rows) {
  engine::AttemptDone done{
      .job = job, .lease = lease, .attempt = attempt, .worker = WorkerId{1}, .outcome = {}};
  done.outcome.rows = std::move(rows);
  done.outcome.wall_s = 1.5;
  done.outcome.environment = kEnvironment;
  return {{2000, engine::JobLeased{job, lease, attempt, WorkerId{1}, 0}}, {3000, std::move(done)}};
}

inline engine::Transition worker_joined() {
  return {
      1000,
      engine::WorkerJoined{
          .worker = WorkerId{1}, .agent_id = "agent", .name = "node1", .cpus = 2, .memory_mb = 0, .gpus = 0}};
}

/// Submits the cells and finishes every job that has numbers, and what it needs.
inline void fill_database(store::JobStore& store, const std::string& sweep,
                          const std::vector<SyntheticCell>& cells) {
  const store::Submission submission = make_submission(sweep, cells);
  GAUNTLET_CHECK(store.submit(submission, 1000).has_value());
  const auto loaded = store.load();
  GAUNTLET_CHECK(loaded.has_value());
  std::uint64_t lease = loaded->last_lease.value;
  std::vector<engine::Transition> batch = {worker_joined()};
  std::set<std::string> handled;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i].rows) continue;
    for (const store::CellJob& part : submission.cells[i].jobs) {
      if (!handled.insert(part.key.hex()).second) continue;
      const auto jobs = store.select(
          {.sweep = {}, .states = {}, .key_prefix = part.key.hex(), .where = "", .exclusive = false});
      GAUNTLET_CHECK(jobs.has_value() && jobs->size() == 1);
      const auto detail = store.details(*jobs);
      if (detail->front().state == engine::JobStateTag::kDone) continue;
      const bool evaluates = part.role == "evaluate";
      for (engine::Transition& transition :
           finish_job(jobs->front(), LeaseId{++lease}, AttemptNo{1},
                      evaluates ? *cells[i].rows : std::vector<spec::ResultRow>{})) {
        batch.push_back(std::move(transition));
      }
    }
  }
  GAUNTLET_CHECK(store.apply(batch).has_value());
}

/// The cells of the quickstart sweep, with numbers like the ones of the pilot but made up.
inline std::vector<SyntheticCell> quickstart_cells() {
  std::vector<SyntheticCell> cells;
  struct Line {
    const char* attack;
    const char* protocol;
    const char* defense;
    const char* variant;
    double i2t;  // 0: does not exist
    double t2i;
  };
  const std::vector<Line> lines = {
      {"none", "none", "none", "", 0.610, 0.580},
      {"none", "none", "box_blur", "", 0.590, 0},
      {"none", "none", "round_text", "", 0, 0.580},
      {"none", "none", "drfgd", "", 0.600, 0.582},
      {"PGD", "static", "none", "", 0.410, 0.395},
      {"PGD", "static", "box_blur", "", 0.560, 0},
      {"PGD", "static", "round_text", "", 0, 0.580},
      {"PGD", "static", "drfgd", "", 0.580, 0.579},
      {"PGD", "static", "drfgd", "drfgd-losses/w/o L_Ali", 0.571, 0.570},
      {"PGD adaptive", "adaptive", "drfgd", "", 0.420, 0.500},
  };
  for (const std::uint64_t seed : {1U, 2U}) {
    for (const Line& line : lines) {
      for (const std::string direction : {"i2t", "t2i"}) {
        const double base = direction == "i2t" ? line.i2t : line.t2i;
        if (base == 0) continue;
        SyntheticCell item;
        item.cell = {.dataset = "picto_scenes",
                     .model = "cpah",
                     .bits = 32,
                     .defense = line.defense,
                     .attack = line.attack,
                     .protocol = line.protocol,
                     .direction = direction,
                     .variant = line.variant,
                     .seed = seed};
        const double shift = seed == 1 ? -0.0105 : 0.0105;
        item.rows = {{ratio("map", base + shift), ratio("chance_map", direction == "i2t" ? 0.346 : 0.352)}};
        cells.push_back(std::move(item));
      }
    }
  }
  return cells;
}

}  // namespace gauntlet::testing_support
