#include "results/board/board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/base/hash.hpp"
#include "core/base/text.hpp"
#include "results/board/standing.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kHashDigits = 16;
constexpr double kMeanSlack = 1e-5;  ///< float32 values per query against their mean
const std::vector<std::string> kSources = {"own", "imported", "external"};

/// Checks one document; the first thing wrong ends it.
class Check {
 public:
  explicit Check(std::string_view source) : source_(source) {}

  Status document(const Json& document) const {
    GAUNTLET_CHECK_OK(is_object(document, ""));
    if (!document.contains("format") || document["format"] != kBoardFormat)
      return wrong("/format", document.contains("format") ? document["format"] : Json(), "1");
    GAUNTLET_CHECK_OK(has_object(document, "", "boards"));
    for (const auto& [id, board] : document["boards"].items())
      GAUNTLET_CHECK_OK(this->board(id, board, "/boards/" + id));
    return {};
  }
  /// Before the document is brought into its normal form.
  Status also(const Json& document) const {
    const auto list = document.is_object() ? document.find("also") : document.end();
    if (list == document.end()) return {};
    if (!list->is_array()) return wrong("/also", *list, "a list");
    for (const Json& each : *list) {
      const bool is_good = each.is_object() && each.contains("path") && each["path"].is_array() &&
                           !each["path"].empty() && each.contains("value") && !each["value"].is_object() &&
                           std::all_of(each["path"].begin(), each["path"].end(),
                                       [](const Json& name) { return name.is_string(); });
      if (!is_good) return wrong("/also", each, "{\"path\": [names], \"value\": what else stands there}");
    }
    return {};
  }

 private:
  tl::unexpected<Error> wrong(const std::string& place, const Json& seen, std::string_view allowed) const {
    std::string text = seen.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "…";
    return fail(ErrorCode::kInvalid, "{}: {} is {}; allowed: {}", source_, place.empty() ? "/" : place,
                seen.is_null() ? "not there" : text, allowed);
  }
  Status is_object(const Json& value, const std::string& place) const {
    if (value.is_object()) return {};
    return wrong(place, value, "an object");
  }
  Status has_object(const Json& object, const std::string& place, const char* name) const {
    if (!object.contains(name)) return wrong(place + "/" + name, Json(), "an object");
    return is_object(object[name], place + "/" + name);
  }
  Status has_text(const Json& object, const std::string& place, const char* name) const {
    if (object.contains(name) && object[name].is_string() && !object[name].get<std::string>().empty())
      return {};
    return wrong(place + "/" + name, object.contains(name) ? object[name] : Json(), "a text");
  }
  /// That `name` is the hash of `content`.
  Status is_hash(const std::string& name, const Json& content, const std::string& place) const {
    GAUNTLET_TRY(const std::string hash, short_hash(content));
    if (hash == name) return {};
    return fail(ErrorCode::kInvalid,
                "{}: {} is called {}, but its content has the hash {}: something in it was changed", source_,
                place, name, hash);
  }

  Status board(const std::string& id, const Json& board, const std::string& place) const {
    GAUNTLET_CHECK_OK(is_object(board, place));
    GAUNTLET_CHECK_OK(has_object(board, place, "threat_model"));
    GAUNTLET_CHECK_OK(threat_model(id, board["threat_model"], place + "/threat_model"));
    GAUNTLET_CHECK_OK(has_object(board, place, "entries"));
    for (const auto& [key, entry] : board["entries"].items())
      GAUNTLET_CHECK_OK(this->entry(key, entry, place + "/entries/" + key));
    if (!board.contains("retractions")) return {};
    GAUNTLET_CHECK_OK(has_object(board, place, "retractions"));
    for (const auto& [hash, record] : board["retractions"].items()) {
      const std::string where = place + "/retractions/" + hash;
      GAUNTLET_CHECK_OK(is_object(record, where));
      GAUNTLET_CHECK_OK(has_text(record, where, "evaluation"));
      GAUNTLET_CHECK_OK(has_text(record, where, "reason"));
      GAUNTLET_CHECK_OK(is_hash(hash, record, where));
    }
    return {};
  }

  Status threat_model(const std::string& id, const Json& model, const std::string& place) const {
    Json rest = model;
    rest.erase("id");
    if (!model.contains("id") || model["id"] != id)
      return wrong(place + "/id", model.contains("id") ? model["id"] : Json(), id);
    for (const char* name : {"name", "direction", "protocol", "metric", "norm"})
      GAUNTLET_CHECK_OK(has_text(model, place, name));
    GAUNTLET_CHECK_OK(has_object(model, place, "dataset"));
    GAUNTLET_CHECK_OK(has_object(model, place, "target"));
    GAUNTLET_CHECK_OK(has_object(model, place, "attack_set"));
    GAUNTLET_CHECK_OK(has_text(model["attack_set"], place + "/attack_set", "name"));
    const Json goal = model.contains("goal") ? model["goal"] : Json();
    const bool is_goal =
        goal == "untargeted" || (goal.is_object() && goal.value("kind", Json()) == "targeted");
    if (!is_goal) return wrong(place + "/goal", goal, R"("untargeted" or {"kind": "targeted", …})");
    return is_hash(id, rest, place);
  }

  Status entry(const std::string& key, const Json& entry, const std::string& place) const {
    GAUNTLET_CHECK_OK(is_object(entry, place));
    GAUNTLET_CHECK_OK(has_object(entry, place, "defense"));
    GAUNTLET_CHECK_OK(has_text(entry["defense"], place + "/defense", "name"));
    GAUNTLET_CHECK_OK(is_hash(key, entry["defense"], place));
    GAUNTLET_CHECK_OK(has_object(entry, place, "runs"));
    GAUNTLET_CHECK_OK(has_object(entry, place, "evaluations"));
    for (const auto& [hash, evaluation] : entry["evaluations"].items()) {
      const std::string where = place + "/evaluations/" + hash;
      GAUNTLET_CHECK_OK(this->evaluation(evaluation, where));
      if (!entry["runs"].contains(evaluation["weights_hash"].get<std::string>()))
        return wrong(where + "/weights_hash", evaluation["weights_hash"], "one of the entry's runs");
      GAUNTLET_CHECK_OK(is_hash(hash, evaluation, where));
    }
    return {};
  }

  Status number(const Json& evaluation, const std::string& place, const char* name) const {
    if (!evaluation.contains(name)) return {};
    GAUNTLET_CHECK_OK(is_object(evaluation[name], place + "/" + name));
    const Json value = evaluation[name].value("value", Json());
    if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= 1))
      return wrong(fmt::format("{}/{}/value", place, name), value, "a number from 0 to 1");
    return {};
  }

  Status evaluation(const Json& evaluation, const std::string& place) const {
    GAUNTLET_CHECK_OK(is_object(evaluation, place));
    for (const char* name : {"by", "source", "weights_hash"})
      GAUNTLET_CHECK_OK(has_text(evaluation, place, name));
    if (std::find(kSources.begin(), kSources.end(), evaluation["source"].get<std::string>()) ==
        kSources.end())
      return wrong(place + "/source", evaluation["source"], "own, imported, external");
    GAUNTLET_CHECK_OK(has_object(evaluation, place, "worst"));
    for (const char* name : {"worst", "clean", "static"}) GAUNTLET_CHECK_OK(number(evaluation, place, name));
    GAUNTLET_CHECK_OK(lists(evaluation, place));
    return evaluation.contains("per_query") ? per_query(evaluation, place) : Status();
  }

  Status lists(const Json& evaluation, const std::string& place) const {
    for (const char* name : {"checks", "curve"}) {
      if (!evaluation.contains(name)) continue;
      const bool are_objects =
          evaluation[name].is_array() && std::all_of(evaluation[name].begin(), evaluation[name].end(),
                                                     [](const Json& each) { return each.is_object(); });
      if (!are_objects) return wrong(place + "/" + name, evaluation[name], "a list of objects");
    }
    if (!evaluation.contains("checks")) return {};
    for (const Json& check : evaluation["checks"]) {
      GAUNTLET_CHECK_OK(has_text(check, place + "/checks", "check"));
      GAUNTLET_CHECK_OK(has_text(check, place + "/checks", "verdict"));
    }
    return {};
  }

  Status per_query(const Json& evaluation, const std::string& place) const {
    const std::string where = place + "/per_query";
    const Json& per_query = evaluation["per_query"];
    GAUNTLET_CHECK_OK(is_object(per_query, where));
    GAUNTLET_CHECK_OK(has_text(per_query, where, "query_ids_hash"));
    const Json values = per_query.value("worst", Json());
    if (!values.is_array() || values.empty()) return wrong(where + "/worst", values, "a list of numbers");
    double sum = 0;
    for (const Json& value : values) {
      if (!value.is_number() ||
          !(value.get<double>() >= -kMeanSlack && value.get<double>() <= 1 + kMeanSlack))
        return wrong(where + "/worst", value, "numbers from 0 to 1");
      sum += value.get<double>();
    }
    const double mean = sum / static_cast<double>(values.size());
    if (std::abs(mean - evaluation["worst"]["value"].get<double>()) > kMeanSlack)
      return wrong(place + "/worst/value", evaluation["worst"]["value"],
                   fmt::format("the mean of per_query/worst, {}", mean));
    return {};
  }

  std::string source_;
};

Result<Json> checked(Json document, std::string_view source) {
  const Check check(source);
  GAUNTLET_CHECK_OK(check.also(document));
  if (document.is_object() && document.contains("boards") && document["boards"].is_object()) {
    for (auto& [id, board] : document["boards"].items())
      if (board.is_object()) board.erase("derived");
  }
  document = document.is_object() ? merged_documents(document, Json::object()) : document;
  GAUNTLET_CHECK_OK(check.document(document));
  return document;
}

}  // namespace

Result<std::string> short_hash(const Json& value) {
  GAUNTLET_TRY(const std::string text, canonical_json(value));
  return to_hex(sha256(text)).substr(0, kHashDigits);
}

Board::Board() : document_({{"format", kBoardFormat}, {"boards", Json::object()}}) {}

Result<Board> Board::read(std::string_view text, std::string_view source) {
  GAUNTLET_TRY(Json document, parse_json(text, source));
  GAUNTLET_TRY(document, checked(std::move(document), source));
  return Board(std::move(document));
}

Status Board::add(const Addition& addition) {
  GAUNTLET_TRY(const std::string id, short_hash(addition.threat_model));
  GAUNTLET_TRY(const std::string key, short_hash(addition.entry.value("defense", Json())));
  Json evaluation = addition.evaluation;
  evaluation["weights_hash"] = addition.weights_hash;
  GAUNTLET_TRY(const std::string hash, short_hash(evaluation));
  Json entry = addition.entry;
  entry["runs"] = {{addition.weights_hash, addition.run}};
  entry["evaluations"] = {{hash, std::move(evaluation)}};
  Json threat_model = addition.threat_model;
  threat_model["id"] = id;
  const Json added = {
      {"format", kBoardFormat},
      {"boards", {{id, {{"threat_model", threat_model}, {"entries", {{key, std::move(entry)}}}}}}}};
  GAUNTLET_TRY(const Json good, checked(added, "what is added"));
  document_ = merged_documents(document_, good);
  return {};
}

Status Board::retract(const std::string& evaluation, const std::string& reason, const std::string& by) {
  if (reason.empty()) return fail(ErrorCode::kInvalid, "a retraction needs a reason");
  std::set<std::pair<std::string, std::string>> found;  // board, evaluation
  for (const auto& [id, board] : document_["boards"].items()) {
    for (const auto& entry : board["entries"]) {
      for (const auto& [hash, each] : entry["evaluations"].items())
        if (!evaluation.empty() && hash.starts_with(evaluation)) found.emplace(id, hash);
    }
  }
  if (found.empty()) return fail(ErrorCode::kNotFound, "no evaluation is called '{}'", evaluation);
  if (found.size() > 1) {
    return fail(ErrorCode::kInvalid, "{} evaluations begin with '{}', among them {} and {}; give more digits",
                found.size(), evaluation, found.begin()->second, std::next(found.begin())->second);
  }
  const auto& [id, hash] = *found.begin();
  Json record = {{"evaluation", hash}, {"reason", reason}};
  if (!by.empty()) record["by"] = by;
  GAUNTLET_TRY(const std::string name, short_hash(record));
  document_["boards"][id]["retractions"][name] = std::move(record);
  return {};
}

void Board::merge(const Board& other) { document_ = merged_documents(document_, other.document_); }

Result<std::string> Board::text() const {
  Json document = document_;
  for (auto& board : document["boards"]) board["derived"] = derived_json(board);
  GAUNTLET_TRY(std::string text, canonical_json(document));
  return text + "\n";
}

}  // namespace gauntlet::results
