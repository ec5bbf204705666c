// Leaderboards made by code.
#pragma once

#include <string>
#include <vector>

#include "core/base/check.hpp"
#include "results/board/board.hpp"

namespace gauntlet::testing_support {

inline Json a_threat_model(const std::string& epsilon = "8/255", double value = 8.0 / 255) {
  return {{"name", "picto, cpah 16 bits, " + epsilon},
          {"dataset", {{"name", "picto"}, {"content_id", "c0ffee"}, {"n_query", 4}, {"n_retrieval", 90}}},
          {"target", {{"model", "cpah"}, {"version", 3}, {"bits", 16}}},
          {"direction", "i2t"},
          {"sides", "query"},
          {"goal", "untargeted"},
          {"norm", "linf"},
          {"epsilon", epsilon},
          {"epsilon_value", value},
          {"rounding", "u8"},
          {"protocol", "adaptive"},
          {"attack_set", {{"name", "worst/standard"}, {"version", 1}}},
          {"metric", "map"}};
}

inline Json a_defense(const std::string& name) {
  return {{"defense", {{"name", name}, {"version", 1}, {"config", Json::object()}}},
          {"title", name},
          {"declaration", Json::array()}};
}

inline double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Per query over the same four queries, of stored inputs.
inline Json an_evaluation(const std::string& by, const std::vector<double>& worst,
                          const std::string& source = "own") {
  Json evaluation = {{"by", by},
                     {"source", source},
                     {"worst", {{"value", mean_of(worst)}, {"n", worst.size()}}},
                     {"per_query", {{"worst", worst}, {"query_ids_hash", "1d5"}}},
                     {"inputs", {{"apgd-main", "ab"}}}};
  if (source == "own") {
    evaluation["clean"] = {{"value", 0.8}, {"n", worst.size()}};
    evaluation["levels"] = {{"chance", 0.3}, {"random_code", 0.35}};
  }
  return evaluation;
}

/// What a verified entry needs beside its numbers.
inline Json verified(Json evaluation, const std::string& failing = "") {
  Json checks = Json::array();
  for (const char* id : {"R01", "R02", "R03", "R04", "R05", "R06", "R07", "R09", "R13", "R17", "R19"})
    checks.push_back({{"check", id}, {"verdict", failing == id ? "fail" : "pass"}, {"sentence", ""}});
  evaluation["checks"] = std::move(checks);
  evaluation["curve"] = Json::array({{{"epsilon", "8/255"}, {"epsilon_value", 8.0 / 255}, {"value", 0.5}},
                                     {{"epsilon", "255/255"}, {"epsilon_value", 1.0}, {"value", 0.1}}});
  return evaluation;
}

inline void add(results::Board& board, const std::string& defense, const std::string& weights,
                const Json& evaluation, const Json& threat_model = a_threat_model()) {
  const Status added = board.add({.threat_model = threat_model,
                                  .entry = a_defense(defense),
                                  .weights_hash = weights,
                                  .run = {{"seed", 1}},
                                  .evaluation = evaluation});
  if (!added) fmt::print("{}\n", added.error().message);
  GAUNTLET_CHECK(added.has_value());
}

inline const std::string kWeights = "00000000000000a1";
inline const std::string kOtherWeights = "00000000000000b2";

inline const Json& only_board(const results::Board& board) {
  return board.document().at("boards").begin().value();
}

}  // namespace gauntlet::testing_support
