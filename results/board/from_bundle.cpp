#include "results/board/from_bundle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "results/board/bundle_jobs.hpp"
#include "results/board/entry.hpp"
#include "results/board/evaluation.hpp"
#include "results/board/threat_model.hpp"

namespace gauntlet::results {
namespace {

using spec::JobKind;

class Collector {
 public:
  Collector(const Bundle& bundle, const spec::Catalog& catalog, const BoardFacts& facts,
            const ChecksOf& checks, const BoardOptions& options)
      : bundle_(bundle), catalog_(catalog), facts_(facts), checks_(checks), options_(options) {}

  Result<CollectedBoard> collect() {
    for (const BundleCell& cell : bundle_.cells) GAUNTLET_CHECK_OK(find(cell));
    if (found_.empty())
      return fail(ErrorCode::kNotFound,
                  "no finished cell has an attack set (attack 'worst' or 'worst_targeted'); a leaderboard is "
                  "made of these");
    GAUNTLET_CHECK_OK(check_about());
    add_baselines();
    for (const FinishedCell& each : found_) GAUNTLET_CHECK_OK(add(each));
    for (const FinishedCell& each : given_) GAUNTLET_CHECK_OK(add_given(each));
    return std::move(result_);
  }

 private:
  void leave_out(const BundleCell& cell, std::string_view why) {
    result_.notes.push_back(fmt::format("left out: {} ({})", name_of(cell), why));
  }

  Status find(const BundleCell& cell) {
    const BundleJob* evaluate = jobs_.of(cell, "evaluate");
    if (evaluate == nullptr) return {};
    const bool is_set = evaluate->form.at("config").contains("worst");
    const BundleJob* craft = jobs_.of(cell, "craft");
    const bool is_given = craft != nullptr && craft->form.at("config").contains("given");
    if (!is_set && !is_given) return {};
    if (evaluate->state != "done") {
      leave_out(cell, "not finished");
      return {};
    }
    FinishedCell found;
    found.cell = &cell;
    found.evaluate = evaluate;
    if (jobs_.of(cell, "train_model") == nullptr)
      return fail(ErrorCode::kCorrupt, "{}: no job makes its target model", name_of(cell));
    GAUNTLET_CHECK_OK(set_entry(cell, found));
    GAUNTLET_CHECK_OK(set_run(cell, found));
    if (found.weights_hash.empty()) {
      leave_out(cell, "its weights are no longer in the work folder");
      return {};
    }
    if (is_given) {
      given_.push_back(std::move(found));
      return {};
    }
    GAUNTLET_CHECK_OK(set_threat_model(cell, *evaluate, found));
    const spec::ResultRow* row = row_of(*evaluate, found.threat_model.at("metric").get<std::string>());
    if (row == nullptr || row->per_query.empty()) {
      leave_out(cell, fmt::format("the sweep does not ask for {}", found.threat_model["metric"].dump()));
      return {};
    }
    found.value = row->value;
    found_.push_back(std::move(found));
    return {};
  }

  // ------------------------------------------------------------------ who is evaluated

  Status set_entry(const BundleCell& cell, FinishedCell& found) const {
    const BundleJob* encode = jobs_.of(cell, "purify");  // an external defense
    if (encode == nullptr) encode = jobs_.input_of(*found.evaluate, "query_codes");
    if (encode == nullptr || encode->form.value("entry", "").empty())
      return fail(ErrorCode::kCorrupt, "{}: no job says how its queries are encoded", name_of(cell));
    found.entry = entry_of(encode->form, cell.cell.defense, options_.about);
    if (!cell.cell.variant.empty()) found.entry["title"] = cell.cell.defense + " " + cell.cell.variant;
    return {};
  }

  Status set_run(const BundleCell& cell, FinishedCell& found) {
    Json weights = Json::object();
    for (const auto& [role, key] : cell.jobs) {
      const BundleJob& job = jobs_.at(key);
      if (role != "train_model" && role != "train_defense" && role != "train_defense_retrieval") continue;
      GAUNTLET_TRY(const JobKind kind, spec::job_kind_from(job.form.value("kind", "")));
      GAUNTLET_TRY(const std::string hash, facts_.content_hash(kind, job.key, ""));
      if (hash.empty()) return {};
      weights[role == "train_model" ? "target_model" : role] = hash;
      if (const spec::ResultRow* row = row_of(job, "parameters"); row != nullptr && role == "train_defense")
        found.entry["cost"]["parameters"] = row->value;
    }
    GAUNTLET_TRY(found.weights_hash, short_hash(weights));
    found.run = {{"seed", cell.cell.seed}, {"weights", weights}};
    return {};
  }

  // ------------------------------------------------------------------ threat model

  Status set_threat_model(const BundleCell& cell, const BundleJob& evaluate, FinishedCell& found) const {
    const BundleJob* data = jobs_.input_of(evaluate, "data");
    const BundleJob* model = jobs_.of(cell, "train_model");
    const BundleJob* retrieval = jobs_.input_of(evaluate, "retrieval_codes");
    if (data == nullptr || retrieval == nullptr)
      return fail(ErrorCode::kCorrupt, "{}: a job of it is missing", name_of(cell));
    ThreatModelParts parts{.cell = &cell.cell,
                           .prepare = &data->form,
                           .model = &model->form,
                           .evaluate = &evaluate.form,
                           .sets = &catalog_.attack_sets(),
                           .members = {},
                           .split_hash = {},
                           .n_query = 0,
                           .n_retrieval = 0};
    GAUNTLET_TRY(parts.split_hash, facts_.content_hash(JobKind::kPrepare, data->key, "split.npy"));
    if (const spec::ResultRow* row = row_of(evaluate, "map:chance")) parts.n_query = row->n;
    if (!retrieval->rows.empty()) parts.n_retrieval = retrieval->rows.front().n;
    for (const BundleJob* craft : jobs_.members_of(evaluate)) {
      if (craft != nullptr) parts.members.push_back(&craft->form);
    }
    found.threat_model = threat_model_of(parts);
    return {};
  }

  /// Nothing is adapted to where there is no defense: static cells of the bare model stand on adaptive boards
  /// too.
  void add_baselines() {
    std::map<std::string, Json> adaptive;
    for (const FinishedCell& each : found_) {
      if (each.threat_model.at("protocol") == "adaptive")
        adaptive.emplace(no_protocol_id(each.threat_model), each.threat_model);
    }
    std::vector<FinishedCell> more;
    for (const FinishedCell& each : found_) {
      if (each.entry["defense"]["name"] != "none") continue;
      const auto board = adaptive.find(no_protocol_id(each.threat_model));
      if (board == adaptive.end()) continue;
      more.push_back(each);
      more.back().threat_model = board->second;
    }
    found_.insert(found_.end(), more.begin(), more.end());
  }

  Status check_about() const {
    std::vector<std::string> labels;
    for (const FinishedCell& each : found_) labels.push_back(each.cell->cell.defense);
    std::sort(labels.begin(), labels.end());
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
    for (const auto& [label, about] : options_.about.items()) {
      if (std::find(labels.begin(), labels.end(), label) == labels.end())
        return fail(ErrorCode::kInvalid, "{}", unknown_name_message("defense", label, labels));
    }
    return {};
  }

  // ------------------------------------------------------------------ evaluations

  Status add(const FinishedCell& found) {
    GAUNTLET_TRY(Json evaluation, writer_.of_set(found, options_.by));
    if (checks_) {
      GAUNTLET_TRY(Json checks, checks_(*found.cell, found.threat_model.at("epsilon_value").get<double>()));
      if (!checks.empty()) evaluation["checks"] = std::move(checks);
    }
    return put(found, found.threat_model, std::move(evaluation));
  }

  /// Inputs that somebody sent: on every board whose budget they keep.
  Status add_given(const FinishedCell& found) {
    const BundleJob& craft = *jobs_.of(*found.cell, "craft");
    const Json& given = craft.form.at("config").at("given");
    const spec::ResultRow* row = row_of(*found.evaluate, "map");
    if (row == nullptr || row->per_query.empty()) {
      leave_out(*found.cell, "the sweep does not ask for map");
      return {};
    }
    GAUNTLET_TRY(const Json evaluation, writer_.of_given(found, craft));
    std::set<std::string> boards;
    for (const FinishedCell& own : found_) {
      if (!is_same_place(own, found)) continue;
      GAUNTLET_TRY(const std::string id, short_hash(own.threat_model));
      if (!boards.insert(id).second) continue;
      if (const std::string why = why_not(own.threat_model, given.at("budget")); !why.empty()) {
        leave_out(*found.cell, fmt::format("{}: {}", own.threat_model.at("name").get<std::string>(), why));
        continue;
      }
      GAUNTLET_CHECK_OK(put(found, own.threat_model, evaluation));
    }
    if (boards.empty()) leave_out(*found.cell, "there is no attack set on the same target model beside it");
    return {};
  }

  /// The same data, target model, bits, direction: only then do the numbers compare.
  bool is_same_place(const FinishedCell& one, const FinishedCell& other) const {
    const spec::Cell &a = one.cell->cell, &b = other.cell->cell;
    return a.bits == b.bits && a.direction == b.direction && a.variant == b.variant &&
           jobs_.input_of(*one.evaluate, "data") == jobs_.input_of(*other.evaluate, "data") &&
           jobs_.of(*one.cell, "train_model")->form.at("config") ==
               jobs_.of(*other.cell, "train_model")->form.at("config");
  }

  Status put(const FinishedCell& found, const Json& threat_model, Json evaluation) {
    return result_.board.add({.threat_model = threat_model,
                              .entry = found.entry,
                              .weights_hash = found.weights_hash,
                              .run = found.run,
                              .evaluation = std::move(evaluation)});
  }

  const Bundle& bundle_;
  const spec::Catalog& catalog_;
  const BoardFacts& facts_;
  const ChecksOf& checks_;
  const BoardOptions& options_;
  const BundleJobs jobs_{bundle_};
  std::vector<FinishedCell> found_, given_;
  const EvaluationWriter writer_{bundle_, jobs_, facts_, found_};
  CollectedBoard result_;
};

}  // namespace

Result<CollectedBoard> board_from(const Bundle& bundle, const spec::Catalog& catalog, const BoardFacts& facts,
                                  const ChecksOf& checks, const BoardOptions& options) {
  try {
    return Collector(bundle, catalog, facts, checks, options).collect();
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, "a job does not say what it should: {}", error.what());
  }
}

}  // namespace gauntlet::results
