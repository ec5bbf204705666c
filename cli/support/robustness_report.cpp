#include "cli/support/robustness_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "core/robustness/check.hpp"

namespace gauntlet::cli {
namespace {

using results::CheckRow;
using results::CheckSubject;

const robustness::CheckEntry* entry_of(const std::string& id) {
  const auto all = robustness::all_checks();
  const auto found =
      std::ranges::find(all, id, [](const robustness::CheckEntry* check) { return check->id; });
  return found == all.end() ? nullptr : *found;
}

bool is_unreliable(const CheckRow& row) {
  const robustness::CheckEntry* check = entry_of(row.check);
  return row.verdict == "fail" && check != nullptr && check->counts;
}

std::string heading(const CheckRow& row) {
  const CheckSubject& subject = row.subject;
  std::string text =
      fmt::format("{} {} {} bits, defense {}", subject.dataset, subject.model, subject.bits, subject.defense);
  if (!subject.variant.empty()) text += fmt::format(" ({})", subject.variant);
  text += fmt::format(", {}, seed {}", subject.direction, subject.seed);
  if (row.epsilon) text += fmt::format(", budget {:.4f} ({:g}/255)", *row.epsilon, *row.epsilon * 255);
  return text;
}

std::string figures(const CheckRow& row) {
  if (!row.delta) return "";
  std::string text = fmt::format("{:.4f}", *row.delta);
  if (row.ci_low && row.ci_high) text += fmt::format(" [{:.4f}, {:.4f}]", *row.ci_low, *row.ci_high);
  return text;
}

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

std::map<std::string, int> counts_of(const std::vector<CheckRow>& rows) {
  std::map<std::string, int> counts;
  for (const char* verdict : {"pass", "note", "warn", "fail", "not run"}) counts[verdict] = 0;
  for (const CheckRow& row : rows) ++counts[row.verdict];
  return counts;
}

}  // namespace

std::string checks_text(const std::vector<CheckRow>& rows) {
  std::string text;
  const CheckSubject* last = nullptr;
  for (const CheckRow& row : rows) {
    if (last == nullptr || *last != row.subject) text += (last == nullptr ? "" : "\n") + heading(row) + "\n";
    last = &row.subject;
    const robustness::CheckEntry* check = entry_of(row.check);
    text += fmt::format("  {}  {:<7}  {:<24}  {:<28} {}\n", row.check, row.verdict,
                        check == nullptr ? "" : check->title, figures(row), row.sentence);
  }
  const std::map<std::string, int> counts = counts_of(rows);
  return text + fmt::format("\n{} pass, {} note, {} warn, {} fail, {} not run\n", counts.at("pass"),
                            counts.at("note"), counts.at("warn"), counts.at("fail"), counts.at("not run"));
}

Json checks_json(const std::string& sweep, const std::vector<CheckRow>& rows) {
  Json subjects = Json::array();
  const CheckSubject* last = nullptr;
  for (const CheckRow& row : rows) {
    if (last == nullptr || *last != row.subject) {
      subjects.push_back({{"dataset", row.subject.dataset},
                          {"model", row.subject.model},
                          {"bits", row.subject.bits},
                          {"defense", row.subject.defense},
                          {"direction", row.subject.direction},
                          {"variant", row.subject.variant},
                          {"seed", row.subject.seed},
                          {"epsilon", number(row.epsilon)},
                          {"unreliable", false},
                          {"checks", Json::array()}});
    }
    last = &row.subject;
    if (is_unreliable(row)) subjects.back()["unreliable"] = true;
    const robustness::CheckEntry* check = entry_of(row.check);
    subjects.back()["checks"].push_back({{"check", row.check},
                                         {"title", check == nullptr ? "" : std::string(check->title)},
                                         {"criterion", check == nullptr ? "" : std::string(check->criterion)},
                                         {"verdict", row.verdict},
                                         {"delta", number(row.delta)},
                                         {"ci_low", number(row.ci_low)},
                                         {"ci_high", number(row.ci_high)},
                                         {"n", row.n},
                                         {"sentence", row.sentence}});
  }
  const std::map<std::string, int> counts = counts_of(rows);
  return {{"format", 1},
          {"sweep", sweep},
          {"ok", counts.at("fail") == 0},
          {"counts", counts},
          {"subjects", subjects}};
}

}  // namespace gauntlet::cli
