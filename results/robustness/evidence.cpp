#include "results/robustness/evidence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "core/base/json.hpp"
#include "core/spec/catalog.hpp"
#include "results/robustness/paired_queries.hpp"
#include "results/store/query_values.hpp"

namespace gauntlet::results {
namespace {

using robustness::Arm;
using robustness::ArmKind;
using robustness::Evidence;

/// Numbers whose values per query checks look at, apart from `map`.
constexpr std::array<const char*, 6> kPerQuery = {"tracked_ap", "thrown_away_ap",  "gradient_cosine",
                                                  "map:chance", "map:random_code", "chance_map"};

/// A job of a cell, as its canonical text tells it.
struct CellPart {
  std::int64_t job_id = 0;
  bool is_done = false;
  Json form;

  [[nodiscard]] std::string entry() const { return form.value("entry", ""); }
  [[nodiscard]] Json config() const { return form.value("config", Json::object()); }
  [[nodiscard]] std::string input(const char* role) const {
    return form.value("inputs", Json::object()).value(role, "");
  }
};

struct CellParts {
  CheckSubject subject;
  std::string attack;
  std::string protocol;
  std::optional<CellPart> evaluate, craft, encode;
  bool is_learned = false;
  std::vector<std::string> selected_on;
};

bool has_role(std::string_view roles, std::string_view role) {
  while (!roles.empty()) {
    const std::size_t end = std::min(roles.find('+'), roles.size());
    if (roles.substr(0, end) == role) return true;
    roles.remove_prefix(std::min(end + 1, roles.size()));
  }
  return false;
}

/// Whether the attack is one that the program has, trains on nothing and aims nowhere in particular.
bool is_single_untargeted(const std::string& attack) {
  const auto entry = spec::Catalog::builtin().find(spec::EntryKind::kAttack, attack);
  return entry && !(*entry)->trains && !(*entry)->targeted && !(*entry)->black_box && !(*entry)->ensemble;
}

class EvidenceReader {
 public:
  EvidenceReader(db::Connection& connection, const std::vector<std::string>& sweeps)
      : connection_(connection), sweeps_(sweeps) {}

  Result<std::vector<SubjectEvidence>> read() {
    for (const std::string& sweep : sweeps_) GAUNTLET_CHECK_OK(read_cells(sweep));
    if (n_known_ == 0) {
      return fail(ErrorCode::kNotFound, "{} has no sweep '{}': run it first", connection_.path(),
                  sweeps_.front());
    }
    std::vector<SubjectEvidence> all;
    for (auto& [subject, evidence] : found_) {
      const std::vector<ScoredQueries>& scored = scored_.at(subject);
      for (std::size_t at = 0; at < scored.size(); ++at) paired_.cut(scored[at], evidence.arms[at]);
      std::stable_partition(evidence.arms.begin(), evidence.arms.end(),
                            [](const Arm& arm) { return arm.kind == ArmKind::kClean; });
      all.push_back({subject, std::move(evidence), asked_.contains(subject)});
    }
    return all;
  }

 private:
  Status read_cells(const std::string& sweep) {
    GAUNTLET_TRY(db::Statement * known, connection_.cached("SELECT 1 FROM sweeps WHERE name = ?"));
    GAUNTLET_CHECK_OK(known->bind_all(sweep));
    GAUNTLET_TRY(const bool is_known, known->step());
    known->reset();
    n_known_ += is_known ? 1 : 0;
    GAUNTLET_TRY(std::vector<CellParts> cells, parts_of(sweep));
    for (CellParts& cell : cells) {
      if (sweep == sweeps_.front()) asked_.insert(cell.subject);
      GAUNTLET_CHECK_OK(take(cell));
    }
    return {};
  }

  Result<std::vector<CellParts>> parts_of(const std::string& sweep) {
    GAUNTLET_TRY(db::Statement statement,
                 connection_.prepare(
                     "SELECT c.cell_id, c.dataset, c.model, c.bits, c.defense, c.direction, c.variant, "
                     "c.seed, c.attack, "
                     "c.protocol, r.name, j.job_id, j.state = 3, sp.canonical FROM sweeps s "
                     "JOIN cells c ON c.sweep_id = s.sweep_id JOIN cell_jobs cj ON cj.cell_id = c.cell_id "
                     "JOIN roles r ON r.role_id = cj.role_id JOIN jobs j ON j.job_id = cj.job_id "
                     "JOIN job_specs sp ON sp.job_id = j.job_id WHERE s.name = ? ORDER BY c.cell_id"));
    GAUNTLET_CHECK_OK(statement.bind_all(sweep));
    std::vector<CellParts> cells;
    std::optional<std::int64_t> last;
    while (true) {
      GAUNTLET_TRY(const bool found, statement.step());
      if (!found) return cells;
      if (last != statement.integer(0)) cells.push_back(cell_of(statement));
      last = statement.integer(0);
      GAUNTLET_CHECK_OK(add_part(statement, cells.back()));
    }
  }

  static CellParts cell_of(const db::Statement& statement) {
    CellParts cell;
    cell.subject = check_subject(statement, 1);
    cell.attack = statement.text(8);
    cell.protocol = statement.text(9);
    return cell;
  }

  Status add_part(const db::Statement& statement, CellParts& cell) {
    const std::string roles(statement.text(10));
    const std::string_view canonical = statement.text(13);
    if (has_role(roles, "train_attack")) cell.is_learned = true;
    std::optional<CellPart>* place = has_role(roles, "evaluate")       ? &cell.evaluate
                                     : has_role(roles, "craft")        ? &cell.craft
                                     : has_role(roles, "encode_query") ? &cell.encode
                                                                       : nullptr;
    const bool selects = canonical.find("\"select\":{") != std::string_view::npos;
    if (place == nullptr && !selects) return {};
    GAUNTLET_TRY(Json form, parse_json(canonical, "a stored job"));
    if (selects) {
      const Json rule = form.value("config", Json::object()).value("select", Json::object());
      cell.selected_on.push_back(rule.value("part", "query"));
    }
    if (place != nullptr)
      *place = CellPart{statement.integer(11), statement.integer(12) != 0, std::move(form)};
    return {};
  }

  Status take(CellParts& cell) {
    if (!cell.evaluate || !cell.evaluate->is_done ||
        !taken_.insert({cell.subject, cell.evaluate->job_id}).second)
      return {};
    if (cell.evaluate->config().value("part", "query") != "query") return {};  // of a selection
    Arm arm;
    GAUNTLET_TRY(const std::vector<float> ap, query_values(connection_, cell.evaluate->job_id, "map"));
    arm.ap.assign(ap.begin(), ap.end());
    if (arm.ap.empty()) return {};
    arm.label = cell.attack;
    describe(cell, arm);
    for (const auto* part : {&cell.evaluate, &cell.craft, &cell.encode}) {
      if (*part) GAUNTLET_CHECK_OK(read_figures((*part)->job_id, arm));
    }
    if (cell.evaluate->config().contains("draws")) arm.figures["randomised"] = 1;  // measured over several
    Evidence& evidence = found_[cell.subject];
    if (cell.encode) evidence.defense = cell.encode->entry();
    if (evidence.defense.empty()) evidence.defense = cell.subject.defense;
    evidence.label = cell.subject.defense;
    evidence.is_image = cell.subject.direction == "i2t";
    evidence.is_imported = evidence.is_imported || cell.protocol == "imported";
    for (std::string& part : cell.selected_on) evidence.selected_on.push_back(std::move(part));
    GAUNTLET_TRY(const ScoredQueries scored, scored_by(*cell.evaluate));
    paired_.note(scored, arm);
    scored_[cell.subject].push_back(scored);
    evidence.arms.push_back(std::move(arm));
    return {};
  }

  static Result<ScoredQueries> scored_by(const CellPart& evaluate) {
    ScoredQueries scored;
    scored.n_drawn = evaluate.config().value("on_queries", std::uint64_t{0});
    if (const std::string data = evaluate.input("data"); !data.empty()) {
      GAUNTLET_TRY(const Digest digest, digest_from_hex(data));
      scored.data = JobKey{digest};
    }
    return scored;
  }

  /// Which attack it was, on what it was made, and with which budget.
  static void describe(const CellParts& cell, Arm& arm) {
    if (const Json swap = cell.evaluate->config().value("swap", Json()); swap.is_object()) {
      arm.attack = "swap";
      arm.kind = ArmKind::kLevel;
      arm.options = swap;
      return;
    }
    if (!cell.craft) {
      const bool is_clean = cell.attack == "none" || cell.protocol == "none";
      arm.attack = is_clean ? "none" : "";
      arm.kind = is_clean ? ArmKind::kClean : ArmKind::kOther;
      return;
    }
    const Json config = cell.craft->config();
    arm.attack = cell.craft->entry();
    arm.options = config.value("attack", Json::object());
    arm.kind = robustness::kind_of_attack(arm.attack, arm.options,
                                          !cell.is_learned && is_single_untargeted(arm.attack));
    // Checks compare attacks on queries that are measured against the same database.
    if (cell.protocol == "retrained" || cell.evaluate->config().contains("sides")) arm.kind = ArmKind::kOther;
    const char* budget = cell.subject.direction == "i2t" ? "epsilon_image" : "epsilon_text";
    if (arm.options.is_object() && arm.options.value(budget, Json()).is_number())
      arm.epsilon = arm.options[budget].get<double>();
    if (!cell.encode) return;
    const Json made_on = config.value("defense", Json());
    const std::string made_through = made_on.is_object() ? made_on.value("name", "") : "none";
    const bool same_model = cell.craft->input("model") == cell.encode->input("model");
    const bool same_defense =
        made_through == cell.encode->entry() && cell.craft->input("defense") == cell.encode->input("defense");
    arm.white = same_model && same_defense;
    if (!arm.white && (!same_model || made_through != "none")) {
      arm.source = fmt::format("{}/{}", cell.craft->input("model").substr(0, 12),
                               cell.craft->input("defense").substr(0, 12));
    }
  }

  Status read_figures(std::int64_t job_id, Arm& arm) {
    GAUNTLET_TRY(db::Statement * statement,
                 connection_.cached("SELECT m.name, r.value FROM results r JOIN metrics m "
                                    "ON m.metric_id = r.metric_id WHERE r.job_id = ?"));
    GAUNTLET_CHECK_OK(statement->bind_all(job_id));
    while (true) {
      GAUNTLET_TRY(const bool found, statement->step());
      if (!found) break;
      arm.figures[std::string(statement->text(0))] =
          statement->is_null(1) ? std::numeric_limits<double>::quiet_NaN() : statement->real(1);
    }
    for (const char* name : kPerQuery) {
      if (!arm.figures.contains(name)) continue;
      GAUNTLET_TRY(const std::vector<float> values, query_values(connection_, job_id, name));
      if (!values.empty()) arm.per_query[name].assign(values.begin(), values.end());
    }
    return {};
  }

  db::Connection& connection_;
  const std::vector<std::string>& sweeps_;
  int n_known_ = 0;
  std::set<std::pair<CheckSubject, std::int64_t>> taken_;  ///< evaluations that are arms already
  std::set<CheckSubject> asked_;                           ///< of the first sweep
  std::map<CheckSubject, Evidence> found_;
  std::map<CheckSubject, std::vector<ScoredQueries>> scored_;  ///< of the arms, in their order
  PairedQueries paired_;
};

bool is_attacked(const Evidence& evidence) {
  return std::ranges::any_of(evidence.arms, [](const Arm& arm) {
    return arm.kind != ArmKind::kClean && arm.kind != ArmKind::kProbe && arm.kind != ArmKind::kNoise &&
           arm.kind != ArmKind::kLevel;
  });
}

/// Whether two subjects differ in their defense alone.
bool is_same_setting(const CheckSubject& one, const CheckSubject& other) {
  CheckSubject moved = other;
  moved.defense = one.defense;
  moved.variant = one.variant;
  return moved == one && other.variant.empty();
}

robustness::Study study_of(const SubjectEvidence& subject, const std::vector<SubjectEvidence>& all) {
  robustness::Study study;
  study.own = &subject.evidence;
  study.epsilon = robustness::judged_epsilon(subject.evidence);
  for (const SubjectEvidence& other : all) {
    if (!is_same_setting(subject.subject, other.subject)) continue;
    if (other.evidence.is_undefended()) study.undefended = &other.evidence;
    if (robustness::is_trivial_control(other.evidence.defense)) study.controls.push_back(&other.evidence);
  }
  return study;
}

}  // namespace

Result<std::vector<SubjectEvidence>> read_evidence(db::Connection& connection,
                                                   const std::vector<std::string>& sweeps) {
  return EvidenceReader(connection, sweeps).read();
}

std::vector<CheckRow> judge_evidence(const std::vector<SubjectEvidence>& evidence, const std::string& sweep,
                                     const std::string& revision) {
  std::vector<CheckRow> rows;
  for (const SubjectEvidence& subject : evidence) {
    if (!subject.is_asked || !is_attacked(subject.evidence)) continue;
    const robustness::Study study = study_of(subject, evidence);
    const std::vector<robustness::Finding> findings = robustness::judge_all(study);
    for (std::size_t at = 0; at < findings.size(); ++at) {
      const robustness::Finding& finding = findings[at];
      CheckRow row{.sweep = sweep,
                   .subject = subject.subject,
                   .check = std::string(robustness::all_checks()[at]->id),
                   .verdict = std::string(robustness::name_of(finding.verdict))};
      if (study.epsilon > 0) row.epsilon = study.epsilon;
      row.delta = finding.delta;
      row.ci_low = finding.ci_low;
      row.ci_high = finding.ci_high;
      row.n = finding.n;
      row.sentence = finding.sentence;
      row.revision = revision;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace gauntlet::results
