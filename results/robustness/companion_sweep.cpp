#include "results/robustness/companion_sweep.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/robustness/check.hpp"
#include "results/robustness/known_crafts.hpp"
#include "results/robustness/sweep_values.hpp"

namespace gauntlet::results {
namespace {

using robustness::ArmKind;
using robustness::Companion;
using robustness::Lead;
using spec::Axis;

constexpr int kCheckedQueries = 500;  // that checks look at, of those a sweep has not attacked itself

/// An attack to follow, and as which value of the axis.
struct Followed {
  Lead lead;
  YAML::Node value;
  bool derives = false;  ///< the first of its entry: checks compare others with it
};

class CompanionWriter {
 public:
  CompanionWriter(std::string_view text, const spec::SweepSpec& spec, const spec::Expansion& expansion,
                  const spec::Catalog& catalog, bool quick)
      : document_(YAML::Load(std::string(text))),
        spec_(spec),
        expansion_(expansion),
        catalog_(catalog),
        quick_(quick),
        known_(expansion) {}

  Result<std::string> write() {
    if (!document_["axes"] || !document_["axes"]["attack"]) {
      return fail(ErrorCode::kInvalid,
                  "{}: its attacks advance together with another axis (zip), so nothing can be "
                  "set beside them; list them under axes",
                  spec_.file);
    }
    const std::vector<Followed> followed = followed_attacks();
    if (followed.empty()) {
      return fail(
          ErrorCode::kInvalid,
          "{}: none of its attacks follows gradients without a target, which the checks compare with; add "
          "one, such as apgd or worst",
          spec_.file);
    }
    document_["name"] = companion_name(spec_.name);
    for (const char* section : {"tables", "ablations"}) document_.remove(section);
    add_metrics();
    const std::vector<std::string> defended = defended_labels();
    add_defenses(followed);
    add_attacks(followed, defended);
    refer_to_new_labels(followed);
    YAML::Emitter out;
    out << document_;
    return fmt::format("# What the robustness checks of sweep {} need beside it.\n{}\n", spec_.name,
                       out.c_str());
  }

 private:
  // ---------------------------------------------------------------- what is followed

  /// Effective options of an attack, as the first cell with it has them; null when none is crafted.
  Json options_of(const std::string& label) const {
    for (const spec::PlannedCell& cell : expansion_.cells) {
      if (cell.cell.attack != label) continue;
      for (const spec::CellJob& part : cell.jobs) {
        if (part.role != "craft") continue;
        return expansion_.jobs[part.job].job.config.value("attack", Json());
      }
    }
    return {};
  }

  bool is_gradient(const std::string& name, const Json& options) const {
    const auto entry = catalog_.find(spec::EntryKind::kAttack, name);
    if (!entry || !(*entry)->adaptive || (*entry)->external) return false;
    const bool single =
        !(*entry)->trains && !(*entry)->targeted && !(*entry)->black_box && !(*entry)->ensemble;
    return robustness::kind_of_attack(name, options, single) == ArmKind::kGradient;
  }

  std::vector<Followed> followed_attacks() const {
    std::vector<Followed> followed;
    std::set<std::string> entries, labels;
    const auto add = [&](const std::string& name, const std::string& label, const Json& options,
                         const YAML::Node& value) {
      if (!labels.insert(label).second) return;
      followed.push_back({{name, label, options, quick_}, value, entries.insert(name).second});
    };
    // Further values of an entry are in the sweep as they are: a curve over budgets is not run twice.
    for (const YAML::Node& node : items_of(document_["axes"]["attack"])) {
      const std::string name = node.IsScalar() ? node.Scalar() : node["name"].Scalar();
      if (node.IsMap() && (node["source"] || (node["sides"] && node["sides"].Scalar() != "query"))) continue;
      const Json options = options_of(label_of(node));
      if (options.is_object() && !entries.contains(name) && is_gradient(name, options))
        add(name, label_of(node), options, as_map(node));
    }
    for (const YAML::Node& node : items_of(document_["axes"]["attack"])) {
      for (auto& [member, value] : members_of(as_map(node))) {
        const Json& options = member.options;
        if (is_gradient(member.attack, options)) add(member.attack, member.name, options, value);
      }
    }
    return followed;
  }

  /// The members of an ensemble with complete options, as values of the axis; none of a single attack.
  std::vector<std::pair<spec::SetMember, YAML::Node>> members_of(const YAML::Node& ensemble) const {
    std::vector<std::pair<spec::SetMember, YAML::Node>> members;
    const std::string name = ensemble["name"].Scalar();
    const auto entry = catalog_.find(spec::EntryKind::kAttack, name);
    if (!entry || !(*entry)->ensemble) return members;
    const std::string set_name = ensemble["set"] ? ensemble["set"].Scalar()
                                                 : (*entry)->fields.front().default_value.get<std::string>();
    const auto set = spec::find_attack_set(catalog_.attack_sets(), name, set_name);
    if (!set || (*set)->targeted) return members;
    for (spec::SetMember member : (*set)->members) {
      const auto attack = catalog_.find(spec::EntryKind::kAttack, member.attack);
      if (!attack) continue;
      YAML::Node value;
      value["name"] = member.attack;
      value["label"] = member.name;
      for (const auto& [option, written] : member.options.items()) value[option] = node_of(written);
      Json given = member.options;
      for (const FieldInfo& field : (*attack)->fields) {
        if (!ensemble[field.name] || field.name == "set") continue;
        value[field.name] = YAML::Clone(ensemble[field.name]);
        const auto normal = normalize_field(field, Json(ensemble[field.name].Scalar()));
        if (normal) given[field.name] = *normal;
      }
      const auto complete = complete_config((*attack)->fields, given, member.attack);
      if (!complete) continue;
      member.options = *complete;
      if (ensemble["when"]) value["when"] = YAML::Clone(ensemble["when"]);
      members.emplace_back(std::move(member), value);
    }
    return members;
  }

  // ---------------------------------------------------------------- what is added

  void add_metrics() {
    YAML::Node metrics(YAML::NodeType::Sequence);
    std::set<std::string> known;
    for (const YAML::Node& metric : items_of(document_["metrics"])) {
      metrics.push_back(metric);
      known.insert(metric.Scalar());
    }
    for (const char* needed : {"map", "chance_map"}) {
      if (!known.contains(needed)) metrics.push_back(std::string(needed));
    }
    document_["metrics"] = metrics;
  }

  std::vector<std::string> defended_labels() const {
    std::vector<std::string> labels;
    for (const spec::AxisValue& value : spec_.of(Axis::kDefense)) {
      if (value.name != "none") labels.push_back(value.label);
    }
    return labels;
  }

  /// `none`, if it is not there, and the trivial controls for what they can do, under the followed attacks
  /// only.
  void add_defenses(const std::vector<Followed>& followed) {
    const YAML::Node written = document_["axes"]["defense"];
    if (!written) return;  // zipped with another axis: what is there has to do
    YAML::Node defenses(YAML::NodeType::Sequence);
    std::set<std::string> known;
    for (const YAML::Node& value : items_of(written)) {
      defenses.push_back(value);
      known.insert(as_map(value)["name"].Scalar());
      known.insert(label_of(value));
    }
    adds_undefended_ = !known.contains("none");
    if (adds_undefended_) defenses.push_back(std::string("none"));
    for (const robustness::TrivialControl& trivial : robustness::trivial_controls()) {
      const auto found = catalog_.find(spec::EntryKind::kDefense, trivial.name);
      if (!found || known.contains(std::string(trivial.label))) continue;
      const spec::CatalogEntry& entry = **found;
      const auto suits = [&](const spec::AxisValue& direction) {
        return direction.name == "i2t" ? entry.image : entry.text;
      };
      if (std::ranges::none_of(spec_.of(Axis::kDirection), suits)) continue;
      YAML::Node control;
      control["name"] = entry.name;
      if (trivial.label != trivial.name) control["label"] = std::string(trivial.label);
      for (const auto& [option, changed] : trivial.options.items()) control[option] = node_of(changed);
      control["when"]["attack"].push_back(std::string("none"));
      for (const Followed& each : followed) {
        for (const std::string& label : own_labels(each.lead)) control["when"]["attack"].push_back(label);
      }
      if (entry.image != entry.text) control["when"]["direction"] = entry.image ? "i2t" : "t2i";
      defenses.push_back(control);
      controls_.emplace_back(trivial.label);
    }
    document_["axes"]["defense"] = defenses;
  }

  /// The last where the sweep itself attacks its defenses so: trivial controls are looked at apart.
  std::vector<std::string> own_labels(const Lead& lead) const {
    std::vector<std::string> labels = {fmt::format("{} (static)", lead.label),
                                       fmt::format("{} (adaptive)", lead.label)};
    if (known_.has(lead.name, lead.options, false))
      labels.push_back(fmt::format("{} (adaptive, controls)", lead.label));
    return labels;
  }

  void add_attacks(const std::vector<Followed>& followed, const std::vector<std::string>& defended) {
    YAML::Node attacks(YAML::NodeType::Sequence);
    std::set<std::string> known;
    for (const YAML::Node& value : items_of(document_["axes"]["attack"])) {
      const std::string label = label_of(value);
      known.insert(label);
      if (adds_undefended_ && needs_defense(label)) {
        YAML::Node limited = as_map(value);
        if (!limited["when"] || !limited["when"]["defense"]) limit_to_defenses(limited, defended);
        attacks.push_back(limited);
      } else {
        attacks.push_back(value);
      }
    }
    if (!known.contains("none")) attacks.push_back(std::string("none"));
    for (const Followed& each : followed) {
      add_own(each, defended, attacks);
      if (!each.derives) continue;
      std::set<std::string> suffixes;
      for (const robustness::CheckEntry* check : robustness::all_checks()) {
        if (check->companions == nullptr) continue;
        for (const Companion& companion : check->companions(each.lead)) {
          const bool is_known = companion.attack.empty() ||
                                catalog_.find(spec::EntryKind::kAttack, companion.attack).has_value();
          if (is_known && suffixes.insert(companion.suffix).second)
            add_derived(each, companion, defended, attacks);
        }
      }
    }
    document_["axes"]["attack"] = attacks;
  }

  /// Whether an attack of the sweep makes no sense of the undefended model, which it has not met so far.
  bool needs_defense(const std::string& label) const {
    return std::ranges::any_of(expansion_.cells, [&](const spec::PlannedCell& cell) {
      return cell.cell.attack == label &&
             (cell.cell.protocol == "adaptive" || cell.cell.protocol == "retrained");
    });
  }

  /// The attack itself, as made on the undefended model and through every defense.
  void add_own(const Followed& each, const std::vector<std::string>& defended, YAML::Node& attacks) {
    const std::vector<std::string> labels = own_labels(each.lead);
    const auto add = [&](const std::string& label, std::string_view protocol,
                         const std::vector<std::string>& through, bool is_known) {
      YAML::Node value = YAML::Clone(each.value);
      value["label"] = label;
      value["protocol"] = std::string(protocol);
      if (value["when"]) value["when"].remove("defense");
      if (!through.empty()) limit_to_defenses(value, through);
      if (!is_known) draw_queries(each, value);
      attacks.push_back(value);
    };
    add(labels[0], "static", {}, known_.has(each.lead.name, each.lead.options, true));
    std::vector<std::string> through = defended;
    const bool is_known = labels.size() > 2;
    if (!is_known) through.insert(through.end(), controls_.begin(), controls_.end());
    if (!through.empty()) add(labels[1], "adaptive", through, is_known);
    if (is_known && !controls_.empty()) add(labels[2], "adaptive", controls_, false);
    derived_[each.lead.label].insert(derived_[each.lead.label].end(), labels.begin(), labels.end());
  }

  /// On the undefended model as it is, on every defense through it; what looks at no model once for all.
  void add_derived(const Followed& each, const Companion& companion, const std::vector<std::string>& defended,
                   YAML::Node& attacks) {
    YAML::Node value;
    if (companion.attack.empty()) {
      value = YAML::Clone(each.value);
    } else {
      value["name"] = companion.attack;
      if (each.value["when"]) value["when"] = YAML::Clone(each.value["when"]);
    }
    for (const auto& [option, changed] : companion.options.items()) value[option] = node_of(changed);
    if (companion.images_only) value["when"]["direction"] = "i2t";
    const Json options = options_of_derived(each.lead, companion);
    const std::string& attack = companion.attack.empty() ? each.lead.name : companion.attack;
    const auto add = [&](std::string_view protocol, const std::vector<std::string>& defenses) {
      YAML::Node one = YAML::Clone(value);
      if (one["when"]) one["when"].remove("defense");
      const std::string label = protocol == "static"
                                    ? fmt::format("{} ({})", each.lead.label, companion.suffix)
                                    : fmt::format("{} ({}, adaptive)", each.lead.label, companion.suffix);
      one["label"] = label;
      one["protocol"] = std::string(protocol);
      if (!defenses.empty()) limit_to_defenses(one, defenses);
      if (!known_.has(attack, options, protocol == "static")) draw_queries(each, one);
      derived_[each.lead.label].push_back(label);
      attacks.push_back(one);
    };
    if (companion.control) {
      add("static", {});
    } else {
      add("static", {"none"});
      if (!defended.empty()) add("adaptive", defended);
    }
  }

  /// Effective options of what is derived from an attack, as far as the catalog tells.
  Json options_of_derived(const Lead& lead, const Companion& companion) const {
    const std::string& name = companion.attack.empty() ? lead.name : companion.attack;
    Json options = companion.attack.empty() ? lead.options : Json::object();
    options.update(companion.options);
    const auto entry = catalog_.find(spec::EntryKind::kAttack, name);
    const auto complete = entry ? complete_config((*entry)->fields, options, name) : Result<Json>(options);
    return complete.value_or(options);
  }

  /// Checks look at some of the queries, as many as the followed attack if that says a number of its own.
  void draw_queries(const Followed& each, YAML::Node& value) const {
    if (each.value["on_queries"]) {
      value["on_queries"] = YAML::Clone(each.value["on_queries"]);
    } else if (spec_.on_queries == 0) {
      value["on_queries"] = kCheckedQueries;
    }
  }

  // ---------------------------------------------------------------- what names the followed attacks

  /// Whatever names a followed attack by its label means what is derived from it, too.
  void refer_to_new_labels(const std::vector<Followed>& followed) {
    const auto extend = [&](YAML::Node condition) {
      if (!condition.IsDefined() || !condition.IsMap() || !condition["attack"]) return;
      YAML::Node list(YAML::NodeType::Sequence);
      std::set<std::string> named;
      for (const YAML::Node& text : items_of(condition["attack"])) {
        list.push_back(text);
        named.insert(text.Scalar());
      }
      for (const Followed& each : followed) {
        const bool by_label = named.contains(each.lead.label);
        if (!by_label && !named.contains(each.lead.name)) continue;
        for (const std::string& label : derived_[each.lead.label]) {
          if (named.insert(label).second) list.push_back(label);
        }
      }
      condition["attack"] = list;
    };
    for (const char* section : {"exclude", "settings"}) {
      if (!document_[section] || !document_[section].IsSequence()) continue;
      for (YAML::Node item : document_[section]) extend(item["match"] ? item["match"] : item);
    }
    for (auto axis : document_["axes"]) {
      if (!axis.second.IsSequence()) continue;
      for (YAML::Node value : axis.second) {
        if (value.IsMap() && value["when"]) extend(value["when"]);
      }
    }
  }

  YAML::Node document_;
  const spec::SweepSpec& spec_;
  const spec::Expansion& expansion_;
  const spec::Catalog& catalog_;
  bool quick_;
  KnownCrafts known_;
  bool adds_undefended_ = false;                             ///< the sweep has no `none`
  std::vector<std::string> controls_;                        ///< added to the defenses
  std::map<std::string, std::vector<std::string>> derived_;  ///< label of a followed attack → new labels
};

}  // namespace

std::string companion_name(std::string_view sweep) { return fmt::format("{}-robustness", sweep); }

Result<std::string> companion_sweep(std::string_view text, const spec::SweepSpec& spec,
                                    const spec::Expansion& expansion, const spec::Catalog& catalog,
                                    bool quick) {
  return CompanionWriter(text, spec, expansion, catalog, quick).write();
}

}  // namespace gauntlet::results
