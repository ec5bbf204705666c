#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/text.hpp"
#include "results/board/page.hpp"
#include "results/board/words.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

std::string table_of(const Json& board, const std::vector<Standing>& standings) {
  const std::vector<std::string> heading = {"rank", "defense", "type",   "clean", "static",  "best known",
                                            "95 %", "seeds",   "status", "marks", "found by"};
  std::vector<std::vector<std::string>> rows;
  for (const Standing& each : standings) {
    const Json& entry = board.at("entries").at(each.key);
    const Json type = entry.value("type", Json());
    rows.push_back({each.rank ? fmt::format("{}", *each.rank) : "", title_of(entry),
                    type.is_string() ? type.get<std::string>() : "", percent(each.clean),
                    percent(each.static_value), percent(each.best_known),
                    each.ci_low ? fmt::format("{}–{}", percent(each.ci_low), percent(each.ci_high)) : "",
                    fmt::format("{}", each.n_runs), each.is_baseline ? "baseline" : each.status,
                    marks_of(each), found_by(each)});
  }
  return text_table(heading, rows, {true, false, false, true, true, true, false, true, false, false, false});
}

}  // namespace

std::string board_text(const Board& board) {
  std::string text;
  for (const auto& [id, each] : board.document().at("boards").items()) {
    const std::vector<Standing> standings = standings_of(each);
    text += fmt::format("{}{} ({})\n{}", text.empty() ? "" : "\n",
                        printable(each["threat_model"]["name"].get<std::string>()), id,
                        table_of(each, standings));
    for (const Standing& standing : standings) {
      const std::string title = printable(title_of(each["entries"][standing.key]));
      if (standing.degenerate)
        text += fmt::format("{}: not ranked, it retrieves nothing even when nobody attacks\n", title);
      if (!standing.failed_checks.empty())
        text += fmt::format("{}: failed {}\n", title,
                            printable(fmt::format("{}", fmt::join(standing.failed_checks, ", "))));
      if (!standing.missing.empty() && !standing.is_baseline)
        text += fmt::format("{}: to be verified it lacks {}\n", title,
                            printable(fmt::format("{}", fmt::join(standing.missing, "; "))));
    }
  }
  return text.empty() ? "the file has no boards\n" : text;
}

}  // namespace gauntlet::results
