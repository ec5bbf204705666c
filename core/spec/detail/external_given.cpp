#include "core/spec/detail/external_given.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace gauntlet::spec::detail {
namespace {

const Names kGivenKeys = {"inputs", "items"};
/// Keys of descriptors whose command is run.
constexpr std::array kOfCommands = {"command", "train",      "inputs", "train_inputs",
                                    "outputs", "checkpoint", "files",  "environment",
                                    "venv",    "limits",     "random", "fields"};

std::string file_of(const YamlNode& given, const char* key, Report& report) {
  const YamlNode* const node = given.find(key);
  if (node == nullptr) return "";
  const std::string name = text_of(*node, key, report).value_or("");
  const bool is_plain =
      !name.empty() && name.front() != '.' && std::filesystem::path(name).filename() == name;
  if (!is_plain)
    report.add(node->place, "given: {} names '{}'; allowed: a file in the descriptor's own folder", key,
               name);
  return name;
}

}  // namespace

void read_given(const YamlNode& root, ExternalEntry& entry, Report& report) {
  const YamlNode& given = *root.find("given");
  if (entry.kind != EntryKind::kAttack) {
    report.add(given.place, "'given' belongs to attacks");
    return;
  }
  if (!expect_map(given, "given", report)) return;
  refuse_unknown_keys(given, "given", kGivenKeys, report);
  for (const char* key : kOfCommands) {
    if (const YamlNode* const node = root.find(key))
      report.add(node->place, "'{}' does not go with 'given': nothing is run, the inputs are there", key);
  }
  if (given.find("inputs") == nullptr)
    report.add(given.place, "given does not say 'inputs', the .npy file of the inputs");
  entry.given = file_of(given, "inputs", report);
  entry.given_items = file_of(given, "items", report);
  if (entry.about.image == entry.about.text) {
    report.add(given.place,
               "given inputs are either pictures or texts; say 'capabilities: {{text: false}}' or '{{image: "
               "false}}'");
  }
  if (entry.about.targeted)
    report.add(given.place, "given inputs aim at no target here: the capability 'targeted' is not allowed");
  if (entry.budget.empty()) {
    report.add(given.place,
               "given inputs need a 'budget' that they are checked against, as in 'budget: {{linf: 8/255}}'");
  }
  for (const std::string& name : {entry.given, entry.given_items}) {
    if (!name.empty()) entry.files.push_back(name);
  }
  std::ranges::sort(entry.files);
}

}  // namespace gauntlet::spec::detail
