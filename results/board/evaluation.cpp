#include "results/board/evaluation.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "core/base/hash.hpp"
#include "core/base/text.hpp"

namespace gauntlet::results {
namespace {

using spec::JobKind;

/// A float32 as the shortest decimal that reads back as it.
Json short_number(float value) { return parse_real(fmt::format("{}", value)).value_or(0.0); }

std::string no_budget_id(Json model) {
  for (const char* name : {"name", "epsilon", "epsilon_value"}) model.erase(name);
  return model.dump();
}

/// Numbers of the whole query set with a value per query, beside the metric itself.
void add_levels(const BundleJob& evaluate, const std::string& metric, Json& evaluation) {
  for (const spec::ResultRow& row : evaluate.rows) {
    if (row.metric.starts_with(metric + ":") && !row.per_query.empty() && std::isfinite(row.value))
      evaluation["levels"][row.metric.substr(metric.size() + 1)] = row.value;
  }
}

/// How visible the inputs are: what a craft job measured of them.
Json sizes_of(const BundleJob& craft) {
  Json sizes = Json::object();
  for (const char* name : {"perceptibility", "linf", "l1", "l2", "rms", "psnr", "changed", "flips"}) {
    if (const spec::ResultRow* row = row_of(craft, name)) sizes[name] = row->value;
  }
  return sizes;
}

}  // namespace

std::string no_protocol_id(Json threat_model) {
  for (const char* name : {"name", "protocol", "knowledge"}) threat_model.erase(name);
  return threat_model.dump();
}

Result<Json> EvaluationWriter::of_set(const FinishedCell& found, const std::string& by) const {
  const BundleJob& evaluate = *found.evaluate;
  const std::string metric = found.threat_model.at("metric");
  GAUNTLET_TRY(Json evaluation, begin(found, metric));
  evaluation["by"] = by;
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
  return evaluation;
}

Result<Json> EvaluationWriter::of_given(const FinishedCell& found, const BundleJob& craft) const {
  const Json& given = craft.form.at("config").at("given");
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
  return evaluation;
}

Result<std::string> EvaluationWriter::query_ids_hash(const BundleJob& evaluate) const {
  const BundleJob* data = jobs_.input_of(evaluate, "data");
  if (data == nullptr) return fail(ErrorCode::kCorrupt, "{}: its data is missing", evaluate.title);
  return facts_.query_ids_hash(data->key);
}

Result<Json> EvaluationWriter::begin(const FinishedCell& found, const std::string& metric) const {
  const BundleJob& evaluate = *found.evaluate;
  const spec::ResultRow& row = *row_of(evaluate, metric);
  Json values = Json::array();
  for (const float value : row.per_query) values.push_back(short_number(value));
  GAUNTLET_TRY(const std::string ids, query_ids_hash(evaluate));
  Json evaluation = {{"worst", {{"value", row.value}, {"n", row.n}}},
                     {"per_query", {{"worst", std::move(values)}, {"query_ids_hash", ids}}}};
  Json environment = {{"precision", evaluate.form.value("precision", "fp32")}};
  const BundleJob* encode = jobs_.input_of(evaluate, "query_codes");
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

void EvaluationWriter::add_static(const FinishedCell& found, Json& evaluation) const {
  const std::string id = no_protocol_id(found.threat_model);
  for (const FinishedCell& each : others_) {
    if (each.cell->cell.protocol == "static" && each.weights_hash == found.weights_hash &&
        each.entry["defense"] == found.entry["defense"] && no_protocol_id(each.threat_model) == id)
      evaluation["static"] = {{"value", each.value}};
  }
}

Status EvaluationWriter::add_members(const BundleJob& evaluate, Json& evaluation) const {
  const Json& names = evaluate.form.at("config").at("worst").at("members");
  const std::vector<const BundleJob*> crafts = jobs_.members_of(evaluate);
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

void EvaluationWriter::add_curve(const FinishedCell& found, Json& evaluation) const {
  const std::string id = no_budget_id(found.threat_model);
  std::map<double, Json> points;
  for (const FinishedCell& each : others_) {
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

void EvaluationWriter::add_cost(const FinishedCell& found, Json& evaluation) const {
  if (const BundleJob* encode = jobs_.input_of(*found.evaluate, "query_codes")) {
    if (const spec::ResultRow* row = row_of(*encode, "added_latency"))
      evaluation["cost"]["added_ms_per_query"] = row->value;
  }
  if (const BundleJob* train = jobs_.of(*found.cell, "train_defense")) {
    if (const spec::ResultRow* row = row_of(*train, "training_time"))
      evaluation["cost"]["training_hours"] = row->value / 3600;
  }
}

}  // namespace gauntlet::results
