#include "core/base/check.hpp"
#include "core/spec/detail/cell_graph.hpp"
#include "core/spec/detail/composed.hpp"

namespace gauntlet::spec::detail {

ConfigId CellGraph::describe_defense(const Chosen& defense) {
  const auto address = std::uint64_t{reinterpret_cast<std::uintptr_t>(defense.entry)};
  return configs_.composed(made_from(Composed::kDefense, defense.config, address, address >> 32U), [&] {
    return Json{{"name", defense.entry->name},
                {"version", defense.entry->version},
                {"config", configs_.value(defense.config)}};
  });
}

ConfigId CellGraph::craft_config(const Crafting& what) {
  const std::uint32_t defense = what.defense == nullptr ? 0 : describe_defense(*what.defense) + 1;
  // How many of the part's items; which of the two numbers it is follows from the part.
  const bool is_database = what.part == Part::kRetrieval;
  const std::uint32_t n_items = is_database ? what.scope.database_millionths : what.scope.on_queries;
  const auto from = made_from(Composed::kCraft, what.attack->config, what.side, what.part, what.limit,
                              defense, what.protocol == "retrained", n_items);
  return configs_.composed(from, [&] {
    Json config{{"attack", configs_.value(what.attack->config)},
                {"modality", name_of(what.side)},
                {"part", name_of(what.part)},
                {"limit", what.limit},
                {"protocol", what.protocol},
                {"defense", defense == 0 ? Json() : configs_.value(defense - 1)}};
    if (is_database) config["database_fraction"] = what.scope.database_fraction();
    if (!is_database && n_items > 0) config["on_queries"] = n_items;
    return config;
  });
}

ConfigId CellGraph::train_attack_config(const Crafting& what) {
  const bool is_retrained = what.protocol == "retrained";
  const std::uint32_t defense = is_retrained ? describe_defense(*what.defense) + 1 : 0;
  return configs_.composed(made_from(Composed::kTrainAttack, what.attack->config, what.side, defense), [&] {
    return Json{{"attack", configs_.value(what.attack->config)},
                {"modality", name_of(what.side)},
                {"protocol", is_retrained ? "retrained" : "static"},
                {"defense", is_retrained ? configs_.value(defense - 1) : Json()}};
  });
}

ConfigId CellGraph::evaluate_config(const CellPlan& cell, const std::vector<std::string>& metrics) {
  const auto from = made_from(Composed::kEvaluate, cell.metric_set, cell.image_queries, cell.scope.sides,
                              cell.scope.database_millionths, cell.scope.on_queries);
  return configs_.composed(from, [&] {
    Json config = {{"metrics", metrics},
                   {"direction", cell.image_queries ? "i2t" : "t2i"},
                   {"versions", metric_versions(metrics)}};
    if (cell.validates != nullptr) config["part"] = "validation";
    tell_scope(cell.scope, config);
    return config;
  });
}

/// "method" names what the maps and numbers are, and changes when they do.
ConfigId CellGraph::explain_config(const CellPlan& cell) {
  const auto address = std::uint64_t{reinterpret_cast<std::uintptr_t>(cell.explanation)};
  const auto from =
      made_from(Composed::kExplain, cell.defense->config, cell.query_side(), address, address >> 32U);
  return configs_.composed(from, [&] {
    const Explanation& explanation = *cell.explanation;
    return Json{{"defense", configs_.value(cell.defense->config)},
                {"modality", name_of(cell.query_side())},
                {"queries", explanation.rows.empty() ? Json(explanation.n_queries) : Json(explanation.rows)},
                {"stage", explanation.stage},
                {"method", "grad_cam@1"}};
  });
}

void CellGraph::explain(const CellPlan& cell, const Common& common, JobIndex crafted, MaybeJob trained) {
  JobDraft draft{JobKind::kExplain, cell.defense->entry, explain_config(cell)};
  draft.seed = cell.seed;
  draft.inputs.set(InputRole::kData, common.data);
  draft.inputs.set(InputRole::kModel, common.model);
  draft.inputs.set(InputRole::kCrafted, crafted);
  if (trained) draft.inputs.set(InputRole::kDefense, *trained);
  draft.locations = cell.defense->locations;
  play(graph_.add_job(draft), "explain");
}

/// Versions of the metrics' entries: a metric that changes its numbers changes the key.
Json CellGraph::metric_versions(const std::vector<std::string>& metrics) const {
  Json versions = Json::object();
  for (const std::string& metric : metrics) {
    const std::string base = metric.substr(0, metric.find_first_of("@:/"));
    const auto entry = catalog_.find(EntryKind::kMetric, base);
    GAUNTLET_CHECK(entry.has_value());
    versions[base] = (*entry)->version;
  }
  return versions;
}

}  // namespace gauntlet::spec::detail
