#include "results/board/entry.hpp"

#include "core/spec/declaration.hpp"

namespace gauntlet::results {
namespace {

/// a: pre-processing with a gradient, b: a step without one, c: steps at test time, d: trained to be robust,
/// e: random, f: refuses inputs.
std::string type_of(const Json& declaration) {
  if (declaration.value("refuses", false)) return "f";
  bool random = false, steps = false, rough = false;
  const Json stages = declaration.value("stages", Json::array());
  for (const Json& stage : stages) {
    random = random || stage.value("random", "no") != "no";
    steps = steps || stage.value("test_time_steps", 0) > 0;
    rough = rough || stage.value("gradient", "exact") != "exact";
  }
  if (random) return "e";
  if (steps) return "c";
  if (!stages.empty()) return rough ? "b" : "a";
  return declaration.value("trained_on", "").empty() ? "" : "d";
}

}  // namespace

Json entry_of(const Json& encode, const std::string& label, const Json& about) {
  const std::string name = encode.at("entry");
  Json entry = {{"defense",
                 {{"name", name},
                  {"version", encode.at("version")},
                  {"config", encode.at("config").value("defense", Json::object())}}}};
  if (label != name) entry["title"] = label;
  if (const Json declaration = spec::declaration_of(name); !declaration.is_null()) {
    entry["declaration"] = declaration.value("stages", Json::array());
    entry["training"] = {{"attack", declaration.value("trained_on", "")},
                         {"extra_data", declaration.value("extra_data", "")}};
    entry["cost"]["forward_equivalents"] = declaration.value("forward_passes", 1.0);
    if (const std::string type = type_of(declaration); !type.empty()) entry["type"] = type;
  }
  if (const auto known = about.find(label); known != about.end()) entry.update(*known);
  return entry;
}

}  // namespace gauntlet::results
