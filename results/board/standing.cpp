#include "results/board/standing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "results/table/inference.hpp"

namespace gauntlet::results {
namespace {

constexpr double kBroken = 0.02;         ///< an external evaluation lower by more breaks an entry
constexpr double kDegenerate = 0.02;     ///< least distance of the clean value from that of random codes
constexpr double kCleanConflict = 1e-3;  ///< of the same weights
constexpr double kTies = 1e-12;          ///< values per query that are the same
constexpr std::int64_t kResamples = 10'000;
constexpr std::uint64_t kSeed = 1;  ///< one for all, so that differences of entries are paired

/// Any of these failing makes a row unreliable (robustness evaluation, checks R01-R21).
const std::set<std::string>& deciding_checks() {
  static const std::set<std::string> kIds = {"R01", "R02", "R03", "R04", "R05", "R06",
                                             "R07", "R09", "R13", "R17", "R19"};
  return kIds;
}

double mean_of(const std::vector<double>& values) {
  return values.empty()
             ? 0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<double> number_at(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* name : path) {
    const auto found = at->is_object() ? at->find(name) : at->end();
    if (found == at->end()) return std::nullopt;
    at = &*found;
  }
  return at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
}

/// One evaluation, as far as standings look at it.
struct Evaluated {
  std::string hash;
  const Json* json = nullptr;
  std::vector<double> per_query;
  std::string ids;
  double value = 0;
  [[nodiscard]] std::string text(const char* name) const { return json->value(name, std::string()); }
  [[nodiscard]] bool is_external() const { return text("source") == "external"; }
};

/// What one board asks for.
struct Rules {
  bool higher_is_worse = false;  ///< targeted: the attacker wants a large value
  std::string protocol;
  std::string set;
  std::set<std::string> retracted;
  bool has_all_queries = true;

  explicit Rules(const Json& board) {
    const Json& model = board.at("threat_model");
    const Json& goal = model.at("goal");
    higher_is_worse = (goal.is_string() ? goal.get<std::string>() : goal.value("kind", "")) == "targeted";
    protocol = model.value("protocol", "");
    has_all_queries = !model.value("dataset", Json::object()).contains("on_queries");
    set = model.contains("attack_set") ? model["attack_set"].value("name", "") : "";
    if (!board.contains("retractions")) return;
    for (const auto& [hash, record] : board["retractions"].items())
      retracted.insert(record.value("evaluation", ""));
  }
  [[nodiscard]] bool is_worse(double one, double other) const {
    return higher_is_worse ? one > other : one < other;
  }
  [[nodiscard]] double worse(double one, double other) const { return is_worse(one, other) ? one : other; }
};

using Runs = std::map<std::string, std::vector<Evaluated>>;  ///< by weights

Runs runs_of(const Json& entry, const Rules& rules) {
  Runs runs;
  if (!entry.contains("evaluations")) return runs;
  for (const auto& [hash, json] : entry["evaluations"].items()) {
    if (rules.retracted.contains(hash)) continue;
    Evaluated each{.hash = hash, .json = &json, .per_query = {}, .ids = "", .value = 0};
    each.value = number_at(json, {"worst", "value"}).value_or(0);
    if (json.contains("per_query")) {
      each.ids = json["per_query"].value("query_ids_hash", "");
      for (const Json& value : json["per_query"].at("worst")) each.per_query.push_back(value.get<double>());
    }
    runs[json.value("weights_hash", "")].push_back(std::move(each));
  }
  return runs;
}

/// The worst of some evaluations of the same weights.
struct Worst {
  std::vector<double> per_query;  ///< empty when they do not compare query by query
  double value = 0;
  bool by_means = false;
};

template <class Wanted>
std::optional<Worst> worst_of(const std::vector<Evaluated>& evaluations, const Rules& rules, Wanted wanted) {
  std::optional<Worst> worst;
  const Evaluated* first = nullptr;
  bool comparable = true;
  for (const Evaluated& each : evaluations) {
    if (!wanted(each)) continue;
    if (first == nullptr) {
      first = &each;
      worst = Worst{each.per_query, each.value, false};
    }
    comparable = comparable && !each.per_query.empty() && each.ids == first->ids &&
                 each.per_query.size() == first->per_query.size();
    worst->value = rules.worse(each.value, worst->value);
    if (!comparable) continue;
    for (std::size_t query = 0; query < each.per_query.size(); ++query)
      worst->per_query[query] = rules.worse(each.per_query[query], worst->per_query[query]);
  }
  if (!worst) return worst;
  if (comparable) {
    worst->value = mean_of(worst->per_query);
  } else {
    worst->by_means = std::count_if(evaluations.begin(), evaluations.end(), wanted) > 1;
    worst->per_query.clear();
  }
  return worst;
}

/// The share of a run's queries on which one evaluation is among the worst; where there are no values per
/// query, all of them if its mean is.
double share_of(const Evaluated& one, const std::vector<Evaluated>& all, const Worst& worst,
                const Rules& rules) {
  if (worst.per_query.empty()) {
    return std::all_of(all.begin(), all.end(),
                       [&](const Evaluated& each) { return !rules.is_worse(each.value, one.value); })
               ? 1
               : 0;
  }
  std::size_t n = 0;
  for (std::size_t query = 0; query < worst.per_query.size(); ++query) {
    n += std::abs(one.per_query[query] - worst.per_query[query]) <= kTies ? 1 : 0;
  }
  return static_cast<double>(n) / static_cast<double>(worst.per_query.size());
}

void set_values(const Runs& runs, const Rules& rules, Standing& standing) {
  std::vector<double> best, own, clean, fixed;
  std::vector<std::vector<double>> groups;
  for (const auto& [weights, evaluations] : runs) {
    const std::optional<Worst> worst = worst_of(evaluations, rules, [](const Evaluated&) { return true; });
    best.push_back(worst->value);
    standing.merged_means = standing.merged_means || worst->by_means;
    if (!worst->per_query.empty()) groups.push_back(worst->per_query);
    standing.n_queries = std::max(standing.n_queries, static_cast<std::int64_t>(worst->per_query.size()));
    const auto ours = worst_of(evaluations, rules, [](const Evaluated& each) { return !each.is_external(); });
    if (ours) own.push_back(ours->value);
    std::optional<double> run_clean, run_static;
    for (const Evaluated& each : evaluations) {
      if (const auto value = number_at(*each.json, {"clean", "value"}))
        run_clean = run_clean.value_or(*value);
      if (const auto value = number_at(*each.json, {"static", "value"}))
        run_static = rules.worse(*value, run_static.value_or(*value));
      const double share = share_of(each, evaluations, *worst, rules);
      standing.found_by.push_back({each.text("by"), each.text("source"), each.hash, share});
    }
    if (run_clean) clean.push_back(*run_clean);
    if (run_static) fixed.push_back(*run_static);
  }
  standing.n_runs = static_cast<std::int64_t>(runs.size());
  if (runs.empty()) return;
  for (Finder& finder : standing.found_by) finder.share /= static_cast<double>(runs.size());
  std::stable_sort(standing.found_by.begin(), standing.found_by.end(),
                   [](const Finder& a, const Finder& b) { return a.share > b.share; });
  standing.best_known = mean_of(best);
  if (own.size() == runs.size()) standing.own = mean_of(own);
  if (!clean.empty()) standing.clean = mean_of(clean);
  if (!fixed.empty()) standing.static_value = mean_of(fixed);
  if (groups.size() != runs.size()) return;
  const Interval interval = bootstrap_interval(groups, 0.95, kResamples, kSeed);
  standing.ci_low = interval.low;
  standing.ci_high = interval.high;
}

/// Checks and reference levels, of any evaluation.
std::set<std::string> set_checks(const Runs& runs, Standing& standing) {
  std::set<std::string> ran, failed;
  for (const auto& [weights, evaluations] : runs) {
    for (const Evaluated& each : evaluations) {
      if (each.json->contains("checks")) {
        for (const Json& check : each.json->at("checks")) {
          const std::string verdict = check.value("verdict", "");
          if (verdict == "not run" || verdict.empty()) continue;
          ran.insert(check.value("check", ""));
          if (verdict == "fail") failed.insert(check.value("check", ""));
        }
      }
      const auto clean = number_at(*each.json, {"clean", "value"});
      const auto random = number_at(*each.json, {"levels", "random_code"});
      if (clean && random && *clean - *random < kDegenerate) failed.insert("R19");
    }
  }
  standing.failed_checks.assign(failed.begin(), failed.end());
  standing.degenerate = failed.contains("R19");
  standing.unreliable = std::any_of(failed.begin(), failed.end(),
                                    [](const std::string& id) { return deciding_checks().contains(id); });
  return ran;
}

bool has_unbounded_point(const Runs& runs) {
  for (const auto& [weights, evaluations] : runs) {
    for (const Evaluated& each : evaluations) {
      if (!each.json->contains("curve")) continue;
      for (const Json& point : each.json->at("curve"))
        if (number_at(point, {"epsilon_value"}).value_or(0) >= 1) return true;
    }
  }
  return false;
}

/// Entry requirements.
void set_missing(const Json& board, const Json& entry, const Runs& runs, const Rules& rules,
                 const std::set<std::string>& ran, Standing& standing) {
  std::vector<std::string>& missing = standing.missing;
  static const std::set<std::string> kSets = {"worst/standard", "worst/plus", "worst/rand",
                                              "worst_targeted/standard"};
  if (!kSets.contains(rules.set))
    missing.push_back(fmt::format("worst/standard (the attacks here are {})", rules.set));
  if (!rules.has_all_queries) missing.emplace_back("all queries (some were drawn)");
  if (rules.protocol != "adaptive") missing.emplace_back("protocol adaptive");
  const bool has_none =
      std::any_of(board.at("entries").begin(), board.at("entries").end(), [](const Json& each) {
        return each.contains("defense") && each["defense"].value("name", "") == "none";
      });
  if (!has_none) missing.emplace_back("the undefended model on this board");
  if (!standing.clean) missing.emplace_back("the clean value");
  if (!has_unbounded_point(runs)) missing.emplace_back("a curve over budgets up to the whole range");
  std::string not_run;
  for (const std::string& id : deciding_checks())
    if (!ran.contains(id)) not_run += (not_run.empty() ? "" : ", ") + id;
  if (!not_run.empty()) missing.push_back("checks " + not_run);
  if (!entry.contains("declaration")) missing.emplace_back("the declaration of its stages");
}

std::string status_of(const Runs& runs, const Rules& rules, const Standing& standing) {
  if (standing.own && standing.best_known) {
    const double drop =
        rules.higher_is_worse ? *standing.best_known - *standing.own : *standing.own - *standing.best_known;
    if (drop > kBroken) return "broken";
  }
  bool reproduced = !runs.empty();
  for (const auto& [weights, evaluations] : runs) {
    reproduced = reproduced && std::any_of(evaluations.begin(), evaluations.end(), [](const Evaluated& each) {
                   return each.text("source") == "own" && !each.per_query.empty() &&
                          each.json->contains("inputs") && !each.json->at("inputs").empty();
                 });
  }
  if (!reproduced) return "claimed";
  return standing.missing.empty() && standing.failed_checks.empty() ? "verified" : "reproduced";
}

/// Equal values and clean values share a rank.
void set_ranks(const Rules& rules, std::vector<Standing>& standings) {
  const auto better = [&](const Standing& a, const Standing& b) {
    if (*a.best_known != *b.best_known) return rules.is_worse(*b.best_known, *a.best_known);
    return a.clean.value_or(0) > b.clean.value_or(0);
  };
  std::vector<Standing*> ranked;
  for (Standing& each : standings) {
    if (each.best_known && each.status != "claimed" && !each.degenerate && !each.is_baseline)
      ranked.push_back(&each);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [&](const Standing* a, const Standing* b) { return better(*a, *b); });
  for (std::size_t at = 0; at < ranked.size(); ++at) {
    const bool is_tied = at > 0 && !better(*ranked[at - 1], *ranked[at]);
    ranked[at]->rank = is_tied ? ranked[at - 1]->rank : static_cast<std::int64_t>(at) + 1;
  }
  std::stable_sort(standings.begin(), standings.end(), [&](const Standing& a, const Standing& b) {
    if (a.rank.has_value() != b.rank.has_value()) return a.rank.has_value();
    if (a.rank) return *a.rank < *b.rank;
    if (a.best_known.has_value() != b.best_known.has_value()) return a.best_known.has_value();
    return a.best_known && better(a, b);
  });
}

}  // namespace

std::vector<Standing> standings_of(const Json& board) {
  const Rules rules(board);
  std::vector<Standing> standings;
  for (const auto& [key, entry] : board.at("entries").items()) {
    const Runs runs = runs_of(entry, rules);
    Standing standing;
    standing.key = key;
    standing.is_baseline = entry.contains("defense") && entry["defense"].value("name", "") == "none";
    set_values(runs, rules, standing);
    const std::set<std::string> ran = set_checks(runs, standing);
    set_missing(board, entry, runs, rules, ran, standing);
    standing.status = status_of(runs, rules, standing);
    standings.push_back(std::move(standing));
  }
  set_ranks(rules, standings);
  return standings;
}

std::vector<std::string> conflicts_of(const Board& board) {
  std::vector<std::string> conflicts;
  for (const auto& [id, each] : board.document().at("boards").items()) {
    const Rules rules(each);
    for (const auto& [key, entry] : each.at("entries").items()) {
      for (const auto& [weights, evaluations] : runs_of(entry, rules)) {
        const Evaluated *low = nullptr, *high = nullptr;
        double least = 0, most = 0;
        for (const Evaluated& evaluation : evaluations) {
          const auto clean = number_at(*evaluation.json, {"clean", "value"});
          if (!clean) continue;
          if (low == nullptr || *clean < least) low = &evaluation, least = *clean;
          if (high == nullptr || *clean > most) high = &evaluation, most = *clean;
        }
        if (low == nullptr || most - least <= kCleanConflict) continue;
        conflicts.push_back(
            fmt::format("board {}, entry {}, weights {}: clean {} by {} (evaluation {}) and {} by {} "
                        "(evaluation {}); the "
                        "same weights may differ by {}",
                        id, key, weights, least, low->text("by"), low->hash, most, high->text("by"),
                        high->hash, kCleanConflict));
      }
    }
  }
  return conflicts;
}

Json derived_json(const Json& board) {
  Json derived = Json::object();
  for (const Standing& each : standings_of(board)) {
    Json json = {
        {"status", each.status}, {"unreliable", each.unreliable},       {"degenerate", each.degenerate},
        {"runs", each.n_runs},   {"failed_checks", each.failed_checks}, {"missing", each.missing}};
    if (each.best_known) {
      Json found = Json::array();
      for (const Finder& finder : each.found_by) {
        if (finder.share > 0)
          found.push_back({{"by", finder.by},
                           {"source", finder.source},
                           {"evaluation", finder.evaluation},
                           {"share", finder.share}});
      }
      json["best_known"] = {{"value", *each.best_known}, {"n", each.n_queries}, {"found_by", found}};
      if (each.ci_low) json["best_known"].update({{"ci_low", *each.ci_low}, {"ci_high", *each.ci_high}});
      if (each.merged_means) json["best_known"]["merged"] = "means";
    }
    if (each.clean) json["clean"] = *each.clean;
    if (each.rank) json["rank"] = *each.rank;
    derived[each.key] = std::move(json);
  }
  return derived;
}

}  // namespace gauntlet::results
