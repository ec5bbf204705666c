// The difference between two expansions.
#include <algorithm>
#include <set>
#include <unordered_set>

#include "core/spec/plan.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::size_t kMaxShown = 50;  // lines per side in the text form

std::string sentence_of(const Cell& cell) {
  std::string text =
      fmt::format("{} {} {} bits, {} vs {}", cell.dataset, cell.model, cell.bits, cell.defense, cell.attack);
  if (cell.protocol != "none") text += fmt::format(" ({})", cell.protocol);
  text += fmt::format(", {}, seed {}", cell.direction, cell.seed);
  if (!cell.variant.empty()) text += fmt::format(", {}", cell.variant);
  return text;
}

std::vector<std::size_t> cells_missing_from(const Expansion& these, const Expansion& those) {
  std::set<Cell> known;
  for (const PlannedCell& planned : those.cells) known.insert(planned.cell);
  std::vector<std::size_t> missing;
  for (std::size_t index = 0; index < these.cells.size(); ++index) {
    if (!known.contains(these.cells[index].cell)) missing.push_back(index);
  }
  return missing;
}

std::vector<std::size_t> jobs_missing_from(const Expansion& these, const Expansion& those) {
  std::unordered_set<JobKey> known;
  known.reserve(those.jobs.size());
  for (std::size_t index = 0; index < those.jobs.size(); ++index) known.insert(those.jobs.key(index));
  std::vector<std::size_t> missing;
  for (std::size_t index = 0; index < these.jobs.size(); ++index) {
    if (!known.contains(these.jobs.key(index))) missing.push_back(index);
  }
  return missing;
}

template <class Describe>
void list(std::string& text, char mark, const std::vector<std::size_t>& indices, Describe describe) {
  for (std::size_t index = 0; index < indices.size() && index < kMaxShown; ++index) {
    text += fmt::format("  {} {}\n", mark, describe(indices[index]));
  }
  if (indices.size() > kMaxShown)
    text += fmt::format("  {} … and {} more\n", mark, indices.size() - kMaxShown);
}

template <class Describe>
Json listed(const std::vector<std::size_t>& indices, Describe describe) {
  Json all = Json::array();
  for (const std::size_t index : indices) all.push_back(describe(index));
  return all;
}

Json brief(const PlannedJob& planned) {
  return {{"key", planned.key.hex()}, {"kind", name_of(planned.job.kind)}, {"title", planned.job.title}};
}

}  // namespace

ExpansionDiff diff(const Expansion& old_one, const Expansion& new_one) {
  return {cells_missing_from(old_one, new_one), cells_missing_from(new_one, old_one),
          jobs_missing_from(old_one, new_one), jobs_missing_from(new_one, old_one)};
}

std::string diff_text(const ExpansionDiff& difference, const Expansion& old_one, const Expansion& new_one) {
  std::string text = fmt::format("cells: {} removed, {} added\n", difference.cells_only_old.size(),
                                 difference.cells_only_new.size());
  list(text, '-', difference.cells_only_old,
       [&](std::size_t index) { return sentence_of(old_one.cells[index].cell); });
  list(text, '+', difference.cells_only_new,
       [&](std::size_t index) { return sentence_of(new_one.cells[index].cell); });
  text += fmt::format("jobs: {} removed, {} added\n", difference.jobs_only_old.size(),
                      difference.jobs_only_new.size());
  list(text, '-', difference.jobs_only_old, [&](std::size_t index) { return old_one.jobs[index].job.title; });
  list(text, '+', difference.jobs_only_new, [&](std::size_t index) { return new_one.jobs[index].job.title; });
  return text;
}

Json diff_json(const ExpansionDiff& difference, const Expansion& old_one, const Expansion& new_one) {
  const auto old_cell = [&](std::size_t index) { return to_json(old_one.cells[index].cell); };
  const auto new_cell = [&](std::size_t index) { return to_json(new_one.cells[index].cell); };
  const auto old_job = [&](std::size_t index) { return brief(old_one.jobs[index]); };
  const auto new_job = [&](std::size_t index) { return brief(new_one.jobs[index]); };
  return {{"format", 1},
          {"cells",
           {{"removed", listed(difference.cells_only_old, old_cell)},
            {"added", listed(difference.cells_only_new, new_cell)}}},
          {"jobs",
           {{"removed", listed(difference.jobs_only_old, old_job)},
            {"added", listed(difference.jobs_only_new, new_job)}}}};
}

Json to_json(const Cell& cell) {
  return {{"dataset", cell.dataset},     {"model", cell.model},     {"bits", cell.bits},
          {"defense", cell.defense},     {"attack", cell.attack},   {"protocol", cell.protocol},
          {"direction", cell.direction}, {"variant", cell.variant}, {"seed", cell.seed}};
}

}  // namespace gauntlet::spec
