#include "results/board/threat_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "results/board/board.hpp"

namespace gauntlet::results {
namespace {

constexpr double kSlack = 1e-9;
constexpr double kLevels = 255;

struct MemberFacts {
  double epsilon = 0;
  std::int64_t words = 0;    ///< that may be turned in a binary text
  std::int64_t queries = 0;  ///< of attacks without gradients
  bool sees_ranking = false;
  std::string rounding = "none";
  std::string targets;  ///< how targets are drawn
};

MemberFacts facts_of(const ThreatModelParts& parts, const std::string& modality) {
  MemberFacts facts;
  for (const Json* member : parts.members) {
    const Json attack = member->at("config").value("attack", Json::object());
    facts.epsilon = std::max(facts.epsilon, attack.value("epsilon_" + modality, 0.0));
    facts.words = std::max(facts.words, attack.value("words", std::int64_t{0}));
    facts.queries = std::max(facts.queries, attack.value("iterations", std::int64_t{0}));
    facts.sees_ranking = facts.sees_ranking || attack.value("select", "") == "ap";
    if (modality == "image") facts.rounding = attack.value("rounding", facts.rounding);
    if (attack.contains("targets")) facts.targets = attack["targets"].get<std::string>();
  }
  return facts;
}

/// "worst", "worst_targeted": sets of both may have one name.
std::string ensemble_of(const ThreatModelParts& parts, const std::string& set, std::int64_t version) {
  const bool targeted = parts.evaluate->at("inputs").contains("crafted");
  for (const spec::AttackSet& known : *parts.sets) {
    if (known.name == set && known.version == version && known.targeted == targeted) return known.ensemble;
  }
  return targeted ? "worst_targeted" : "worst";
}

Json target_of(const ThreatModelParts& parts) {
  const Json& config = parts.model->at("config");
  const Json options = config.value("model", Json::object());
  const Result<std::string> hash = short_hash(options);
  return {{"model", parts.model->at("entry")},
          {"version", parts.model->at("version")},
          {"options_hash", hash.value_or("")},
          {"bits", config.value("bits", parts.cell->bits)}};
}

std::string name_of(const Json& model) {
  const std::string direction = model["direction"];
  std::string name =
      fmt::format("{}, {} {} bits, {}, {} {}", model["dataset"]["name"].get<std::string>(),
                  model["target"]["model"].get<std::string>(), model["target"]["bits"].get<std::int64_t>(),
                  direction == "i2t" ? "image to text" : "text to image", model["norm"].get<std::string>(),
                  model["epsilon"].get<std::string>());
  if (model.contains("words")) name += fmt::format(" and {} words", model["words"].get<std::int64_t>());
  if (model["sides"] == "both") name += ", queries and database";
  if (model["sides"] == "database") name += ", database";
  if (model["dataset"].contains("on_queries"))
    name += fmt::format(", {} drawn queries", model["dataset"]["on_queries"].get<std::int64_t>());
  if (model["rounding"] != "none") name += fmt::format(", {}", model["rounding"].get<std::string>());
  return name + fmt::format(", {} {}@{}", model["protocol"].get<std::string>(),
                            model["attack_set"]["name"].get<std::string>(),
                            model["attack_set"]["version"].get<std::int64_t>());
}

}  // namespace

std::string budget_text(double epsilon) {
  const double levels = epsilon * kLevels;
  const double halves = std::round(levels * 2) / 2;
  if (levels > 0 && std::abs(levels - halves) < 1e-6) return fmt::format("{:g}/255", halves);
  return fmt::format("{}", epsilon);
}

Json threat_model_of(const ThreatModelParts& parts) {
  const std::string direction = parts.evaluate->at("config").at("direction");
  const std::string modality = direction == "i2t" ? "image" : "text";
  const MemberFacts facts = facts_of(parts, modality);
  const Json& worst = parts.evaluate->at("config").at("worst");
  const std::string set = worst.at("set");
  const std::int64_t version = worst.at("version");
  const std::string ensemble = ensemble_of(parts, set, version);
  const bool targeted = !facts.targets.empty();
  const bool adaptive = parts.cell->protocol == "adaptive";
  Json model = {{"dataset",
                 {{"name", parts.prepare->at("entry")},
                  {"content_id", parts.prepare->at("config").value("source", "")},
                  {"split_hash", parts.split_hash},
                  {"n_query", parts.n_query},
                  {"n_retrieval", parts.n_retrieval}}},
                {"target", target_of(parts)},
                {"direction", direction},
                {"sides", parts.evaluate->at("config").value("sides", "query")},
                {"goal", targeted ? Json{{"kind", "targeted"}, {"rule", facts.targets}} : Json("untargeted")},
                {"norm", "linf"},
                {"epsilon", budget_text(facts.epsilon)},
                {"epsilon_value", facts.epsilon},
                {"input_domain", modality + ", 0 to 1"},
                {"rounding", facts.rounding},
                {"knowledge",
                 {{"model", "weights"},
                  {"defense", adaptive ? "full" : "none"},
                  {"database", facts.sees_ranking ? "codes+labels" : "codes"},
                  {"queries", facts.queries}}},
                {"protocol", parts.cell->protocol},
                {"attack_set", {{"name", ensemble + "/" + set}, {"version", version}}},
                {"metric", targeted ? "t_map" : "map"},
                {"ties", "expected"}};
  const Json& config = parts.evaluate->at("config");
  if (config.contains("database_fraction")) model["database_fraction"] = config["database_fraction"];
  if (config.contains("on_queries")) model["dataset"]["on_queries"] = config["on_queries"];
  if (facts.words > 0) model["words"] = facts.words;
  model["name"] = name_of(model);
  return model;
}

std::string why_not(const Json& threat_model, const Json& budget) {
  if (threat_model.at("goal") != "untargeted") return "it is a targeted board";
  if (!budget.contains("linf")) return "the inputs were not checked against a linf budget";
  const double used = budget["linf"], allowed = threat_model.at("epsilon_value");
  if (used > allowed + kSlack)
    return fmt::format("the inputs' budget is {}, the board's {}", budget_text(used), budget_text(allowed));
  if (threat_model.at("rounding") == "u8" && budget.value("grid", 0.0) != kLevels)
    return "the inputs were not checked to be whole grey levels (budget: {grid: 255})";
  return "";
}

}  // namespace gauntlet::results
