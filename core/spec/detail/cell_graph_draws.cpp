// What a random defense is measured on: the codes of several draws of the same queries, drawn for the report
// alone. docs/robustness.md, "Random defenses".
#include <algorithm>

#include "core/spec/declaration.hpp"
#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::int64_t kReported = 20;     // draws that a score is the mean of
constexpr std::int64_t kResubmitted = 10;  // tries of somebody who may send a query again

/// As the defense says of itself.
bool is_random(const CatalogEntry& defense) {
  if (defense.external) return defense.external->random;
  const Json declaration = declaration_of(defense.name);
  if (!declaration.is_object()) return false;
  return std::ranges::any_of(declaration.value("stages", Json::array()),
                             [](const Json& stage) { return stage.value("random", "no") != "no"; });
}

}  // namespace

/// The draws after the first, whose codes are those of any defense; none of one that draws nothing. What
/// chooses settings on validation items looks at one.
std::vector<JobIndex> CellGraph::further_draws(const CellPlan& cell, const Common& common, MaybeJob crafted,
                                               MaybeJob trained) {
  std::vector<JobIndex> draws;
  const auto [known, is_new] = random_.try_emplace(cell.defense->entry, false);
  if (is_new) known->second = is_random(*cell.defense->entry);
  if (cell.validates != nullptr || !known->second) return draws;
  for (std::int64_t draw = 1; draw < kReported; ++draw) {
    Encoding queries = clean_queries(cell, *cell.defense, trained);
    if (crafted) queries = {cell.defense, cell.query_side(), Part::kQuery, crafted, trained};
    queries.draw = draw;
    draws.push_back(encode(cell, common, queries));
    play(draws.back(), "encode_draw");
  }
  return draws;
}

ConfigId CellGraph::drawn_config(const CellPlan& cell, const std::vector<std::string>& metrics) {
  Json config = configs_.value(evaluate_config(cell, metrics));
  config["draws"] = {{"reported", kReported}, {"resubmitted", kResubmitted}};
  return configs_.intern(std::move(config));
}

}  // namespace gauntlet::spec::detail
