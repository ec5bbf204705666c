// A plan as people and programs read it.
#include <fmt/ranges.h>

#include "core/base/text.hpp"
#include "core/spec/plan.hpp"

namespace gauntlet::spec {
namespace {

constexpr std::size_t kMaxShownMisses = 20;

std::string text_of(const FieldChange& change) {
  const auto shown = [](const Json& value) {
    return value.is_null() ? std::string("nothing") : value.dump();
  };
  return fmt::format("{} {} → {}", change.path, shown(change.known), shown(change.now));
}

std::string misses_text(const Plan& plan) {
  std::string text;
  if (!plan.misses.empty()) text += "\nwhy jobs are new, beside the nearest known one:\n";
  for (std::size_t index = 0; index < plan.misses.size() && index < kMaxShownMisses; ++index) {
    const Miss& miss = plan.misses[index];
    std::vector<std::string> changes;
    for (const FieldChange& change : miss.changes) changes.push_back(text_of(change));
    text +=
        fmt::format("  {} ({}): {}\n", miss.example, count_of(miss.n_jobs, "job"), fmt::join(changes, ", "));
  }
  if (plan.misses.size() > kMaxShownMisses)
    text += fmt::format("  … and {} more\n", plan.misses.size() - kMaxShownMisses);
  if (plan.n_follow > 0)
    text += fmt::format("{} new only because what they need is\n", count_of(plan.n_follow, "job"));
  return text;
}

Json to_json(const PlanLine& line) {
  return {{"kind", name_of(line.kind)},
          {"entry", line.entry},
          {"done", line.n_done},
          {"known", line.n_known},
          {"new", line.n_new},
          {"resources", spec::to_json(line.resources)},
          {"seconds_each", line.seconds_each ? Json(*line.seconds_each) : Json()}};
}

Json to_json(const Miss& miss) {
  Json changes = Json::array();
  for (const FieldChange& change : miss.changes) {
    changes.push_back({{"path", change.path}, {"known", change.known}, {"now", change.now}});
  }
  return {{"kind", name_of(miss.kind)},
          {"entry", miss.entry},
          {"jobs", miss.n_jobs},
          {"example", miss.example},
          {"changes", changes}};
}

}  // namespace

std::string to_text(const Plan& plan) {
  std::string text = fmt::format("{}, {}, {} done\n\n", count_of(plan.n_cells, "cell"),
                                 count_of(plan.n_jobs(), "job"), plan.n_done());
  text += fmt::format("{:<14} {:<16} {:>8} {:>8} {:>8}  {}\n", "kind", "entry", "done", "known", "new",
                      "each job needs");
  for (const PlanLine& line : plan.lines) {
    text += fmt::format("{:<14} {:<16} {:>8} {:>8} {:>8}  {}\n", name_of(line.kind),
                        line.entry.empty() ? "–" : line.entry, line.n_done, line.n_known, line.n_new,
                        spec::text_of(line.resources));
  }
  if (const auto seconds = plan.seconds_left(); seconds && plan.n_done() < plan.n_jobs()) {
    text +=
        fmt::format("\nabout {} of work left, by past runs, one job at a time\n", human_duration(*seconds));
  }
  return text + misses_text(plan);
}

Json to_json(const Plan& plan) {
  std::size_t n_known = 0;
  std::size_t n_new = 0;
  Json kinds = Json::array();
  for (const PlanLine& line : plan.lines) {
    n_known += line.n_known;
    n_new += line.n_new;
    kinds.push_back(to_json(line));
  }
  Json misses = Json::array();
  for (const Miss& miss : plan.misses) misses.push_back(to_json(miss));
  const auto seconds = plan.seconds_left();
  return {{"format", 1},
          {"cells", plan.n_cells},
          {"jobs", {{"total", plan.n_jobs()}, {"done", plan.n_done()}, {"known", n_known}, {"new", n_new}}},
          {"kinds", kinds},
          {"misses", misses},
          {"follow", plan.n_follow},
          {"seconds_left", seconds ? Json(*seconds) : Json()}};
}

}  // namespace gauntlet::spec
