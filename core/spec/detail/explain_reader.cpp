// The section that asks for pictures of what attacks did.
#include <algorithm>

#include "core/spec/detail/sweep_parser.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::uint64_t kMaxRow = 1'000'000'000;
constexpr std::uint64_t kMaxStage = 64;

void read_queries(const YamlNode& node, Explanation& explanation, Report& report) {
  if (!node.is_sequence()) {
    const auto n = integer_of(node, "queries of explain", 1, kMaxExplainedQueries, report);
    if (n) explanation.n_queries = *n;
    return;
  }
  if (node.items.empty() || node.items.size() > kMaxExplainedQueries) {
    report.add(node.place,
               "queries of explain names {} rows; allowed: 1 to {}, or a number of queries to draw",
               node.items.size(), kMaxExplainedQueries);
    return;
  }
  for (const YamlNode* item : node.items) {
    const auto row = integer_of(*item, "a query of explain (a row of the data set)", 0, kMaxRow, report);
    if (row) explanation.rows.push_back(static_cast<std::int64_t>(*row));
  }
  std::ranges::sort(explanation.rows);
  explanation.rows.erase(std::unique(explanation.rows.begin(), explanation.rows.end()),
                         explanation.rows.end());
}

}  // namespace

void SweepParser::read_explain(const YamlNode& node) {
  if (!expect_list(node, "explain", report_)) return;
  for (const YamlNode* item : node.items) {
    if (!expect_map(*item, "an explain entry", report_)) continue;
    refuse_unknown_keys(*item, "explain", kExplainKeys, report_);
    Explanation explanation;
    explanation.place = item->place;
    if (const YamlNode* match = item->find("match")) explanation.match = axes_.read_selector(*match, "match");
    if (const YamlNode* queries = item->find("queries")) read_queries(*queries, explanation, report_);
    if (const YamlNode* stage = item->find("stage")) {
      const auto number = integer_of(*stage, "stage of explain", 0, kMaxStage, report_);
      if (number) explanation.stage = static_cast<std::int64_t>(*number);
    }
    spec_.explain.push_back(std::move(explanation));
  }
}

}  // namespace gauntlet::spec::detail
