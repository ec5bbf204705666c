#include "results/export/bundle.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

/// A float32 as the shortest decimal that reads back as it.
Json short_number(float value) {
  if (!std::isfinite(value)) return nullptr;
  const Result<double> decimal = parse_real(fmt::format("{}", value));
  return decimal ? *decimal : static_cast<double>(value);
}

Json list_of(const std::vector<float>& values) {
  Json list = Json::array();
  for (const float value : values) list.push_back(short_number(value));
  return list;
}

std::vector<float> floats_in(const Json& list) {
  std::vector<float> values;
  for (const Json& value : list)
    values.push_back(value.is_null() ? std::nanf("") : static_cast<float>(value.get<double>()));
  return values;
}

std::string line_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const spec::Cell& cell) {
  return {{"dataset", cell.dataset},     {"model", cell.model},     {"bits", cell.bits},
          {"defense", cell.defense},     {"attack", cell.attack},   {"protocol", cell.protocol},
          {"direction", cell.direction}, {"variant", cell.variant}, {"seed", cell.seed}};
}

spec::Cell cell_from(const Json& json) {
  return {.dataset = json.at("dataset"),
          .model = json.at("model"),
          .bits = json.at("bits"),
          .defense = json.at("defense"),
          .attack = json.at("attack"),
          .protocol = json.at("protocol"),
          .direction = json.at("direction"),
          .variant = json.at("variant"),
          .seed = json.at("seed")};
}

Json to_json(const BundleSweep& sweep, std::size_t number) {
  return {{"name", sweep.name},
          {"priority", sweep.priority},
          {"spec_text", sweep.spec_text},
          {"spec_path", sweep.spec_path},
          {"metrics", sweep.metrics},
          {"code_revision", sweep.code_revision},
          {"file", fmt::format("sweeps/{}.yaml", number)}};
}

Json to_json(const BundleCell& cell) {
  Json jobs = Json::array();
  for (const auto& [role, key] : cell.jobs) jobs.push_back({{"role", role}, {"key", key.hex()}});
  return {{"sweep", cell.sweep}, {"cell", to_json(cell.cell)}, {"metrics", cell.metrics}, {"jobs", jobs}};
}

Json to_json(const BundleJob& job) {
  Json line = {{"key", job.key.hex()},       {"job", job.form},        {"title", job.title},
               {"resources", job.resources}, {"state", job.state},     {"needs", Json::array()},
               {"rows", Json::array()},      {"curves", Json::array()}};
  for (const JobKey& key : job.needs) line["needs"].push_back(key.hex());
  if (job.attempt) {
    const Json environment = Json::parse(job.attempt->environment, nullptr, false);
    line["attempt"] = {
        {"worker", job.attempt->worker},     {"started_ms", job.attempt->started_ms},
        {"ended_ms", job.attempt->ended_ms}, {"wall_s", job.attempt->wall_s},
        {"manifest", job.attempt->manifest}, {"environment", environment.is_object() ? environment : Json()}};
  }
  for (const spec::ResultRow& row : job.rows) {
    Json value = {{"metric", row.metric},
                  {"unit", row.unit},
                  {"higher_is_better", row.higher_is_better},
                  {"value", std::isfinite(row.value) ? Json(row.value) : Json()},
                  {"n", row.n}};
    if (!row.per_query.empty()) value["per_query"] = list_of(row.per_query);
    line["rows"].push_back(std::move(value));
  }
  for (const spec::Curve& curve : job.curves) {
    line["curves"].push_back({{"name", curve.name},
                              {"x_label", curve.x_label},
                              {"y_label", curve.y_label},
                              {"x", list_of(curve.x)},
                              {"y", list_of(curve.y)}});
  }
  return line;
}

/// As v_results has them, without what only the database knows.
std::string rows_csv(const Bundle& bundle) {
  std::map<JobKey, const BundleJob*> jobs;
  for (const BundleJob& job : bundle.jobs) jobs.emplace(job.key, &job);
  std::string csv =
      "sweep,dataset,model,bits,defense,attack,protocol,direction,variant,seed,metric,value,n,unit,"
      "higher_is_better,job_key\n";
  for (const BundleCell& item : bundle.cells) {
    const spec::Cell& cell = item.cell;
    std::string axes;
    for (const std::string& text :
         {item.sweep, cell.dataset, cell.model, fmt::format("{}", cell.bits), cell.defense, cell.attack,
          cell.protocol, cell.direction, cell.variant, fmt::format("{}", cell.seed)})
      axes += csv_field(text) + ",";
    for (const auto& [role, key] : item.jobs) {
      for (const spec::ResultRow& row : jobs.at(key)->rows) {
        csv += fmt::format("{}{},{},{},{},{},{}\n", axes, csv_field(row.metric),
                           std::isfinite(row.value) ? fmt::format("{}", row.value) : "", row.n,
                           csv_field(row.unit), row.higher_is_better ? 1 : 0, key.hex());
      }
    }
  }
  return csv;
}

// ---------------------------------------------------------------- reading

Result<JobKey> key_from(const Json& hex) {
  GAUNTLET_TRY(const Digest digest, digest_from_hex(hex.get<std::string>()));
  return JobKey{digest};
}

Result<BundleJob> job_from(const Json& line) {
  BundleJob job;
  GAUNTLET_TRY(job.key, key_from(line.at("key")));
  job.form = line.at("job");
  GAUNTLET_TRY(const std::string text, canonical_json(job.form));
  if (JobKey{sha256(text)} != job.key) {
    return fail(ErrorCode::kCorrupt, "job {} is not what its key says: the SHA-256 of its text is {}",
                job.key.brief(), to_hex(sha256(text)).substr(0, 12));
  }
  job.title = line.at("title");
  job.resources = line.at("resources");
  job.state = line.at("state");
  for (const Json& need : line.at("needs")) {
    GAUNTLET_TRY(const JobKey key, key_from(need));
    job.needs.push_back(key);
  }
  for (const Json& row : line.at("rows")) {
    job.rows.push_back(
        {.metric = row.at("metric"),
         .value = row.at("value").is_null() ? std::nan("") : row.at("value").get<double>(),
         .unit = row.at("unit"),
         .higher_is_better = row.at("higher_is_better"),
         .n = row.at("n"),
         .per_query = row.contains("per_query") ? floats_in(row["per_query"]) : std::vector<float>()});
  }
  for (const Json& curve : line.at("curves")) {
    job.curves.push_back({.name = curve.at("name"),
                          .x_label = curve.at("x_label"),
                          .y_label = curve.at("y_label"),
                          .x = floats_in(curve.at("x")),
                          .y = floats_in(curve.at("y"))});
    if (job.curves.back().x.size() != job.curves.back().y.size())
      return fail(ErrorCode::kCorrupt, "curve {} has more values on one axis", job.curves.back().name);
  }
  if (job.state != "done") return job;
  const Json& attempt = line.at("attempt");
  job.attempt = {.worker = attempt.at("worker"),
                 .started_ms = attempt.at("started_ms"),
                 .ended_ms = attempt.at("ended_ms"),
                 .wall_s = attempt.at("wall_s"),
                 .manifest = attempt.at("manifest"),
                 .environment = ""};
  if (!attempt.at("environment").is_null()) {
    GAUNTLET_TRY(job.attempt->environment, canonical_json(attempt["environment"]));
  }
  return job;
}

Result<BundleCell> cell_line(const Json& line) {
  BundleCell cell{.sweep = line.at("sweep"),
                  .cell = cell_from(line.at("cell")),
                  .metrics = line.at("metrics"),
                  .jobs = {}};
  for (const Json& job : line.at("jobs")) {
    GAUNTLET_TRY(const JobKey key, key_from(job.at("key")));
    cell.jobs.emplace_back(job.at("role").get<std::string>(), key);
  }
  return cell;
}

Result<BundleSweep> sweep_line(const Json& line) {
  return BundleSweep{.name = line.at("name"),
                     .priority = line.at("priority"),
                     .spec_text = line.at("spec_text"),
                     .spec_path = line.at("spec_path"),
                     .code_revision = line.at("code_revision"),
                     .metrics = line.at("metrics")};
}

/// Reads a file of JSON lines. A member that is missing or of another type is an exception of the library,
/// which ends here.
template <class Item>
Status read_lines(const std::map<std::string, std::string>& files, const std::string& name,
                  Result<Item> (*read)(const Json&), std::vector<Item>& items) {
  std::string_view rest = files.at(name);
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::string place = fmt::format("{}:{}", name, number);
    const Result<Json> json = parse_json(line, place);
    if (!json) return fail(ErrorCode::kCorrupt, "{}", json.error().message);
    try {
      Result<Item> item = read(*json);
      if (!item) return fail(ErrorCode::kCorrupt, "{}: {}", place, item.error().message);
      items.push_back(std::move(*item));
    } catch (const Json::exception& error) {
      return fail(ErrorCode::kCorrupt, "{}: {}", place, error.what());
    }
  }
  return {};
}

Status check_hashes(const std::map<std::string, std::string>& files) {
  for (const std::string& name : bundle_parts()) {
    if (!files.contains(name)) return fail(ErrorCode::kCorrupt, "{} is missing: this is no export", name);
  }
  const Result<Json> index = parse_json(files.at("export.json"), "export.json");
  if (!index) return fail(ErrorCode::kCorrupt, "{}", index.error().message);
  if (!index->is_object() || index->value("what", Json()) != "gauntlet export" ||
      index->value("format", Json()) != 1 || !index->value("files", Json()).is_object()) {
    return fail(ErrorCode::kCorrupt, "export.json is not that of an export of format 1");
  }
  for (const std::string& name : bundle_parts()) {
    if (name == "export.json") continue;
    if ((*index)["files"].value(name, Json()) != to_hex(sha256(files.at(name))))
      return fail(ErrorCode::kCorrupt, "{} is not what export.json says: its hash is another", name);
  }
  return {};
}

/// Jobs come after what they need, and cells name jobs and sweeps that are there.
Status check_references(const Bundle& bundle) {
  std::set<JobKey> known;
  for (const BundleJob& job : bundle.jobs) {
    for (const JobKey& need : job.needs) {
      if (!known.contains(need))
        return fail(ErrorCode::kCorrupt, "job {} needs job {}, which does not come before it",
                    job.key.brief(), need.brief());
    }
    if (!known.insert(job.key).second)
      return fail(ErrorCode::kCorrupt, "job {} is there twice", job.key.brief());
  }
  std::set<std::string> sweeps;
  for (const BundleSweep& sweep : bundle.sweeps) sweeps.insert(sweep.name);
  for (const BundleCell& cell : bundle.cells) {
    if (!sweeps.contains(cell.sweep))
      return fail(ErrorCode::kCorrupt, "a cell is of sweep '{}', which is not there", cell.sweep);
    for (const auto& [role, key] : cell.jobs) {
      if (!known.contains(key))
        return fail(ErrorCode::kCorrupt, "a cell's {} is job {}, which is not there", role, key.brief());
    }
  }
  return {};
}

}  // namespace

const std::vector<std::string>& bundle_parts() {
  static const std::vector<std::string> parts = {"export.json", "sweeps.jsonl", "cells.jsonl", "jobs.jsonl"};
  return parts;
}

std::map<std::string, std::string> files_of(const Bundle& bundle) {
  std::map<std::string, std::string> files;
  for (std::size_t at = 0; at < bundle.sweeps.size(); ++at) {
    files["sweeps.jsonl"] += line_of(to_json(bundle.sweeps[at], at + 1));
    files[fmt::format("sweeps/{}.yaml", at + 1)] = bundle.sweeps[at].spec_text;
  }
  for (const BundleCell& cell : bundle.cells) files["cells.jsonl"] += line_of(to_json(cell));
  for (const BundleJob& job : bundle.jobs) files["jobs.jsonl"] += line_of(to_json(job));
  files["rows.csv"] = rows_csv(bundle);
  std::size_t n_rows = 0, n_curves = 0;
  for (const BundleJob& job : bundle.jobs) {
    n_rows += job.rows.size();
    n_curves += job.curves.size();
  }
  Json index = {{"format", 1},
                {"what", "gauntlet export"},
                {"sweeps", bundle.sweeps.size()},
                {"cells", bundle.cells.size()},
                {"jobs", bundle.jobs.size()},
                {"numbers", n_rows},
                {"curves", n_curves},
                {"files", Json::object()}};
  for (const auto& [name, content] : files) index["files"][name] = to_hex(sha256(content));
  files["export.json"] = index.dump(2) + "\n";
  return files;
}

Result<Bundle> bundle_from(const std::map<std::string, std::string>& files) {
  GAUNTLET_CHECK_OK(check_hashes(files));
  Bundle bundle;
  GAUNTLET_CHECK_OK(read_lines(files, "sweeps.jsonl", &sweep_line, bundle.sweeps));
  GAUNTLET_CHECK_OK(read_lines(files, "cells.jsonl", &cell_line, bundle.cells));
  GAUNTLET_CHECK_OK(read_lines(files, "jobs.jsonl", &job_from, bundle.jobs));
  GAUNTLET_CHECK_OK(check_references(bundle));
  return bundle;
}

}  // namespace gauntlet::results
