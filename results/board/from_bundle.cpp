#include "results/board/from_bundle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "results/board/entry.hpp"
#include "results/board/threat_model.hpp"

namespace gauntlet::results {
namespace {

using spec::JobKind;

/// A float32 as the shortest decimal that reads back as it.
Json short_number(float value) { return parse_real(fmt::format("{}", value)).value_or(0.0); }

std::string no_protocol_id(Json model) {
  for (const char* name : {"name", "protocol", "knowledge"}) model.erase(name);
  return model.dump();
}
std::string no_budget_id(Json model) {
  for (const char* name : {"name", "epsilon", "epsilon_value"}) model.erase(name);
  return model.dump();
}

/// One evaluation on its way to the board.
struct Found {
  const BundleCell* cell = nullptr;
  const BundleJob* evaluate = nullptr;
  Json threat_model;
  Json entry;
  Json run;
  std::string weights_hash;
  double value = 0;
};

class Collector {
 public:
  Collector(const Bundle& bundle, const spec::Catalog& catalog, const BoardFacts& facts,
            const ChecksOf& checks, const BoardOptions& options)
      : bundle_(bundle), catalog_(catalog), facts_(facts), checks_(checks), options_(options) {}

  Result<CollectedBoard> collect() {
    for (const BundleJob& job : bundle_.jobs) jobs_.emplace(job.key, &job);
    for (const BundleCell& cell : bundle_.cells) GAUNTLET_CHECK_OK(find(cell));
    if (found_.empty())
      return fail(ErrorCode::kNotFound,
                  "no finished cell has an attack set (attack 'worst' or 'worst_targeted'); a leaderboard is "
                  "made of these");
    GAUNTLET_CHECK_OK(check_about());
    add_baselines();
    for (const Found& each : found_) GAUNTLET_CHECK_OK(add(each));
    for (const Found& each : given_) GAUNTLET_CHECK_OK(add_given(each));
    return std::move(result_);
  }

 private:
  [[nodiscard]] const BundleJob* job_of(const BundleCell& cell, std::string_view role) const {
    for (const auto& [name, key] : cell.jobs)
      if (name == role) return jobs_.at(key);
    return nullptr;
  }
  [[nodiscard]] const BundleJob* input_of(const BundleJob& job, const std::string& role) const {
    const auto& inputs = job.form.at("inputs");
    if (!inputs.contains(role)) return nullptr;
    const Result<Digest> digest = digest_from_hex(inputs[role].get<std::string>());
    const auto found = digest ? jobs_.find(JobKey{*digest}) : jobs_.end();
    return found == jobs_.end() ? nullptr : found->second;
  }
  [[nodiscard]] static const spec::ResultRow* row_of(const BundleJob& job, std::string_view metric) {
    const auto row = std::find_if(job.rows.begin(), job.rows.end(),
                                  [&](const spec::ResultRow& each) { return each.metric == metric; });
    return row == job.rows.end() || !std::isfinite(row->value) ? nullptr : &*row;
  }
  static std::string name_of(const BundleCell& cell) {
    return fmt::format("{} {} {} bits {} {} {} seed {}", cell.cell.dataset, cell.cell.model, cell.cell.bits,
                       cell.cell.defense, cell.cell.attack, cell.cell.direction, cell.cell.seed);
  }
  void leave_out(const BundleCell& cell, std::string_view why) {
    result_.notes.push_back(fmt::format("left out: {} ({})", name_of(cell), why));
  }

  Status find(const BundleCell& cell) {
    const BundleJob* evaluate = job_of(cell, "evaluate");
    if (evaluate == nullptr) return {};
    const bool is_set = evaluate->form.at("config").contains("worst");
    const BundleJob* craft = job_of(cell, "craft");
    const bool is_given = craft != nullptr && craft->form.at("config").contains("given");
    if (!is_set && !is_given) return {};
    if (evaluate->state != "done") {
      leave_out(cell, "not finished");
      return {};
    }
    Found found;
    found.cell = &cell;
    found.evaluate = evaluate;
    if (job_of(cell, "train_model") == nullptr)
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

  Status set_entry(const BundleCell& cell, Found& found) const {
    const BundleJob* encode = job_of(cell, "purify");  // an external defense
    if (encode == nullptr) encode = input_of(*found.evaluate, "query_codes");
    if (encode == nullptr || encode->form.value("entry", "").empty())
      return fail(ErrorCode::kCorrupt, "{}: no job says how its queries are encoded", name_of(cell));
    found.entry = entry_of(encode->form, cell.cell.defense, options_.about);
    if (!cell.cell.variant.empty()) found.entry["title"] = cell.cell.defense + " " + cell.cell.variant;
    return {};
  }

  Status set_run(const BundleCell& cell, Found& found) {
    Json weights = Json::object();
    for (const auto& [role, key] : cell.jobs) {
      const BundleJob& job = *jobs_.at(key);
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

  Status set_threat_model(const BundleCell& cell, const BundleJob& evaluate, Found& found) const {
    const BundleJob* data = input_of(evaluate, "data");
    const BundleJob* model = job_of(cell, "train_model");
    const BundleJob* retrieval = input_of(evaluate, "retrieval_codes");
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
    for (const BundleJob* craft : members_of(evaluate)) {
      if (craft != nullptr) parts.members.push_back(&craft->form);
    }
    found.threat_model = threat_model_of(parts);
    return {};
  }

  /// The craft jobs of an evaluation's members, in their order; null where the bundle lacks one.
  [[nodiscard]] std::vector<const BundleJob*> members_of(const BundleJob& evaluate) const {
    std::vector<const BundleJob*> members;
    for (std::size_t at = 0; at < evaluate.form.at("config").at("worst").at("members").size(); ++at) {
      const BundleJob* encode = input_of(evaluate, fmt::format("worst_of_{:03}", at));
      members.push_back(encode == nullptr ? nullptr : input_of(*encode, "crafted"));
    }
    return members;
  }

  /// Nothing is adapted to where there is no defense: static cells of the bare model stand on adaptive boards
  /// too.
  void add_baselines() {
    std::map<std::string, Json> adaptive;
    for (const Found& each : found_) {
      if (each.threat_model.at("protocol") == "adaptive")
        adaptive.emplace(no_protocol_id(each.threat_model), each.threat_model);
    }
    std::vector<Found> more;
    for (const Found& each : found_) {
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
    for (const Found& each : found_) labels.push_back(each.cell->cell.defense);
    std::sort(labels.begin(), labels.end());
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
    for (const auto& [label, about] : options_.about.items()) {
      if (std::find(labels.begin(), labels.end(), label) == labels.end())
        return fail(ErrorCode::kInvalid, "{}", unknown_name_message("defense", label, labels));
    }
    return {};
  }

  // ------------------------------------------------------------------ evaluations

  Status add(const Found& found) {
    const BundleJob& evaluate = *found.evaluate;
    const std::string metric = found.threat_model.at("metric");
    GAUNTLET_TRY(Json evaluation, begin(found, metric));
    evaluation["by"] = options_.by;
    evaluation["source"] = "own";
    evaluation["protocol"] = found.cell->cell.protocol;
    evaluation["attack_set"] = found.threat_model.at("attack_set");
    for (const char* end : {"ci_low", "ci_high"}) {
      if (const spec::ResultRow* row = row_of(evaluate, metric + ":" + end))
        evaluation["worst"][end] = row->value;
    }
    if (const spec::ResultRow* row = row_of(evaluate, metric + ":clean"))
      evaluation["clean"] = {{"value", row->value}, {"n", row->n}};
    for (const char* name : {"map:clean_undefended", "map:best_single", "kept_share"}) {
      if (const spec::ResultRow* row = row_of(evaluate, name))
        evaluation[std::string(name).substr(std::string(name).find(':') + 1)] = row->value;
    }
    add_static(found, evaluation);
    add_levels(evaluate, metric, evaluation);
    GAUNTLET_CHECK_OK(add_members(evaluate, evaluation));
    add_curve(found, evaluation);
    add_cost(found, evaluation);
    if (checks_) {
      GAUNTLET_TRY(Json checks, checks_(*found.cell, found.threat_model.at("epsilon_value").get<double>()));
      if (!checks.empty()) evaluation["checks"] = std::move(checks);
    }
    return put(found, found.threat_model, std::move(evaluation));
  }

  /// Inputs that somebody sent: on every board whose budget they keep.
  Status add_given(const Found& found) {
    const BundleJob& craft = *job_of(*found.cell, "craft");
    const Json& given = craft.form.at("config").at("given");
    const spec::ResultRow* row = row_of(*found.evaluate, "map");
    if (row == nullptr || row->per_query.empty()) {
      leave_out(*found.cell, "the sweep does not ask for map");
      return {};
    }
    GAUNTLET_TRY(Json evaluation, begin(found, "map"));
    evaluation["by"] = given.value("reference", "").empty() ? craft.form.value("entry", "given")
                                                            : given.value("reference", "");
    evaluation["source"] = "external";
    evaluation["sentence"] = given.value("summary", "");
    evaluation["budget"] = given.at("budget");
    if (const spec::ResultRow* n = row_of(craft, craft.form.value("entry", "") + ":given"))
      evaluation["n_given"] = static_cast<std::int64_t>(n->value);
    GAUNTLET_TRY(const std::string inputs, facts_.content_hash(JobKind::kCommand, craft.key, "inputs.npy"));
    if (!inputs.empty()) evaluation["inputs"][craft.form.value("entry", "given")] = inputs;
    evaluation["perceptibility"][craft.form.value("entry", "given")] = sizes_of(craft);
    std::set<std::string> boards;
    for (const Found& own : found_) {
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
  bool is_same_place(const Found& one, const Found& other) const {
    const spec::Cell &a = one.cell->cell, &b = other.cell->cell;
    return a.bits == b.bits && a.direction == b.direction && a.variant == b.variant &&
           input_of(*one.evaluate, "data") == input_of(*other.evaluate, "data") &&
           job_of(*one.cell, "train_model")->form.at("config") ==
               job_of(*other.cell, "train_model")->form.at("config");
  }

  Result<std::string> query_ids_hash(const BundleJob& evaluate) const {
    const BundleJob* data = input_of(evaluate, "data");
    if (data == nullptr) return fail(ErrorCode::kCorrupt, "{}: its data is missing", evaluate.title);
    return facts_.query_ids_hash(data->key);
  }

  /// What both kinds of evaluation have.
  Result<Json> begin(const Found& found, const std::string& metric) const {
    const BundleJob& evaluate = *found.evaluate;
    const spec::ResultRow& row = *row_of(evaluate, metric);
    Json values = Json::array();
    for (const float value : row.per_query) values.push_back(short_number(value));
    GAUNTLET_TRY(const std::string ids, query_ids_hash(evaluate));
    Json evaluation = {{"worst", {{"value", row.value}, {"n", row.n}}},
                       {"per_query", {{"worst", std::move(values)}, {"query_ids_hash", ids}}}};
    Json environment = {{"precision", evaluate.form.value("precision", "fp32")}};
    const BundleJob* encode = input_of(evaluate, "query_codes");
    const Json document =
        Json::parse(encode != nullptr && encode->attempt ? encode->attempt->environment : "", nullptr, false);
    for (const char* name : {"revision", "versions", "device", "cpu"})
      if (document.is_object() && document.contains(name)) environment[name] = document[name];
    evaluation["environment"] = std::move(environment);
    for (const BundleSweep& sweep : bundle_.sweeps) {
      if (sweep.name != found.cell->sweep) continue;
      const std::string file = std::filesystem::path(sweep.spec_path).filename().string();
      evaluation["command"] = fmt::format("gauntlet run {}", file.empty() ? sweep.name + ".yaml" : file);
      evaluation["sweep_sha256"] = to_hex(sha256(sweep.spec_text));
    }
    return evaluation;
  }

  void add_static(const Found& found, Json& evaluation) const {
    const std::string id = no_protocol_id(found.threat_model);
    for (const Found& each : found_) {
      if (each.cell->cell.protocol == "static" && each.weights_hash == found.weights_hash &&
          each.entry["defense"] == found.entry["defense"] && no_protocol_id(each.threat_model) == id)
        evaluation["static"] = {{"value", each.value}};
    }
  }

  /// Numbers of the whole query set with a value per query, beside the metric itself.
  static void add_levels(const BundleJob& evaluate, const std::string& metric, Json& evaluation) {
    for (const spec::ResultRow& row : evaluate.rows) {
      if (row.metric.starts_with(metric + ":") && !row.per_query.empty() && std::isfinite(row.value))
        evaluation["levels"][row.metric.substr(metric.size() + 1)] = row.value;
    }
  }

  Status add_members(const BundleJob& evaluate, Json& evaluation) const {
    const Json& names = evaluate.form.at("config").at("worst").at("members");
    const std::vector<const BundleJob*> crafts = members_of(evaluate);
    for (std::size_t at = 0; at < names.size(); ++at) {
      const std::string name = names[at];
      for (const auto& [row_name, field] :
           {std::pair("member_map:", "map"), std::pair("member_share:", "share"),
            std::pair("member_rise:", "rise")}) {
        if (const spec::ResultRow* row = row_of(evaluate, row_name + name))
          evaluation["members"][name][field] = row->value;
      }
      if (crafts[at] == nullptr) continue;
      evaluation["perceptibility"][name] = sizes_of(*crafts[at]);
      GAUNTLET_TRY(const JobKind kind, spec::job_kind_from(crafts[at]->form.value("kind", "")));
      GAUNTLET_TRY(const std::string hash, facts_.content_hash(kind, crafts[at]->key, "inputs.npy"));
      if (!hash.empty()) evaluation["inputs"][name] = hash;
    }
    return {};
  }

  /// How visible the inputs are: what a craft job measured of them.
  static Json sizes_of(const BundleJob& craft) {
    Json sizes = Json::object();
    for (const char* name : {"perceptibility", "linf", "l1", "l2", "rms", "psnr", "changed", "flips"}) {
      if (const spec::ResultRow* row = row_of(craft, name)) sizes[name] = row->value;
    }
    return sizes;
  }

  void add_curve(const Found& found, Json& evaluation) const {
    const std::string id = no_budget_id(found.threat_model);
    std::map<double, Json> points;
    for (const Found& each : found_) {
      if (each.weights_hash != found.weights_hash || each.entry["defense"] != found.entry["defense"] ||
          no_budget_id(each.threat_model) != id)
        continue;
      const double epsilon = each.threat_model.at("epsilon_value");
      points[epsilon] = {
          {"epsilon", each.threat_model.at("epsilon")}, {"epsilon_value", epsilon}, {"value", each.value}};
    }
    if (points.size() < 2) return;
    for (auto& [epsilon, point] : points) evaluation["curve"].push_back(std::move(point));
  }

  void add_cost(const Found& found, Json& evaluation) const {
    if (const BundleJob* encode = input_of(*found.evaluate, "query_codes")) {
      if (const spec::ResultRow* row = row_of(*encode, "added_latency"))
        evaluation["cost"]["added_ms_per_query"] = row->value;
    }
    if (const BundleJob* train = job_of(*found.cell, "train_defense")) {
      if (const spec::ResultRow* row = row_of(*train, "training_time"))
        evaluation["cost"]["training_hours"] = row->value / 3600;
    }
  }

  Status put(const Found& found, const Json& threat_model, Json evaluation) {
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
  std::map<JobKey, const BundleJob*> jobs_;
  std::vector<Found> found_, given_;
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
