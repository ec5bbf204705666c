#include "core/spec/detail/external_reader.hpp"

#include <algorithm>
#include <map>

#include "core/base/text.hpp"
#include "core/spec/detail/external_given.hpp"
#include "core/spec/detail/external_surroundings.hpp"

namespace gauntlet::spec::detail {
namespace {

const Names kDescriptorKeys = {
    // of every entry
    "gauntlet_external", "kind", "name", "summary", "reference", "fields", "capabilities",
    // what is run, or given instead
    "command", "train", "inputs", "train_inputs", "outputs", "checkpoint", "files", "environment", "venv",
    "limits", "given",
    // what is promised
    "budget", "random", "refuses", "unit", "higher_is_better"};
const Names kFieldKeys = {"type", "default", "min", "max", "choices", "doc"};
const Names kFieldTypes = {"bool", "integer", "real", "text"};
const Names kNorms = {"linf", "l2", "flips", "grid"};
const Names kKinds = {"model", "attack", "defense", "metric"};
constexpr std::size_t kMaxNameLength = 64;

/// What differs between the kinds of entry.
struct Rules {
  EntryKind kind;
  Names capabilities;
  Names inputs;        ///< groups that `command` can ask for
  Names train_inputs;  ///< and the training; none = such an entry does not train
  const char* output;  ///< the file that is always left
};

const Rules& rules_of(const std::string& kind) {
  static const std::map<std::string, Rules> kRules = {
      {"model", {EntryKind::kModel, {}, {"inputs"}, {"train", "labels"}, "codes.npy"}},
      {"attack",
       {EntryKind::kAttack,
        {"image", "text", "targeted", "black_box"},
        {"inputs", "labels", "targets", "train", "codes", "model"},
        {},
        "inputs.npy"}},
      {"defense",
       {EntryKind::kDefense,
        {"image", "text"},
        {"inputs", "train", "codes", "model"},
        {"train", "codes", "model"},
        "inputs.npy"}},
      {"metric", {EntryKind::kMetric, {"targeted"}, {"codes", "labels", "targets"}, {}, "rows.json"}},
  };
  return kRules.at(kind);
}

bool is_entry_name(std::string_view name) {
  const auto is_part = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.size() <= kMaxNameLength && name.front() >= 'a' && name.front() <= 'z' &&
         std::ranges::all_of(name, is_part);
}

bool is_file_name(std::string_view name) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxNameLength && name.front() != '.' &&
         std::ranges::all_of(name, is_part);
}

/// Reads one descriptor, section by section.
class DescriptorReader {
 public:
  DescriptorReader(const YamlNode& root, Report& report) : root_(root), report_(report) {}

  ExternalEntry read() {
    if (!expect_map(root_, "a descriptor", report_)) return {};
    refuse_unknown_keys(root_, "a descriptor", kDescriptorKeys, report_);
    if (!read_head()) return {};
    read_fields();
    read_capabilities();
    read_refusals();
    if (root_.find("given") != nullptr) {
      read_budget();
      read_given(root_, entry_, report_);
      return std::move(entry_);
    }
    read_commands();
    read_surroundings(root_, entry_, report_);
    read_budget();
    read_metric();
    return std::move(entry_);
  }

 private:
  bool read_head() {
    const YamlNode* format = root_.find("gauntlet_external");
    if (format == nullptr) {
      report_.add(root_.place, "the format version is missing; start the file with 'gauntlet_external: 1'");
    } else {
      static_cast<void>(integer_of(*format, "gauntlet_external (the format version)", 1, 1, report_));
    }
    if (const auto name = required_text("name")) {
      entry_.about.name = *name;
      if (!is_entry_name(*name)) {
        report_.add(root_.find("name")->place,
                    "name is '{}'; allowed: up to {} of a-z, 0-9 and '_', starting with a letter", *name,
                    kMaxNameLength);
      }
    }
    entry_.about.summary = optional_text("summary").value_or("external entry");
    entry_.about.reference = optional_text("reference").value_or("");
    const auto kind = required_text("kind");
    if (!kind) return false;
    if (std::ranges::find(kKinds, *kind) == kKinds.end()) {
      report_.add(root_.find("kind")->place, "{}", unknown_name_message("kind of entry", *kind, kKinds));
      return false;
    }
    rules_ = &rules_of(*kind);
    entry_.kind = rules_->kind;
    return true;
  }

  void read_fields() {
    const YamlNode* fields = root_.find("fields");
    if (fields == nullptr || !expect_map(*fields, "fields", report_)) return;
    for (const YamlNode::Member& member : fields->members) read_field(member);
  }

  void read_field(const YamlNode::Member& member) {
    const std::string what = fmt::format("field '{}'", member.key->text);
    if (!is_entry_name(member.key->text)) {
      report_.add(member.key->place, "{}: a field's name has a-z, 0-9 and '_' and starts with a letter",
                  what);
    }
    if (!expect_map(*member.value, what, report_)) return;
    refuse_unknown_keys(*member.value, what, kFieldKeys, report_);
    FieldInfo field;
    field.name = member.key->text;
    const YamlNode* type = member.value->find("type");
    const auto type_name = type == nullptr ? std::nullopt : text_of(*type, what + ": type", report_);
    const auto known = std::ranges::find(kFieldTypes, type_name.value_or(""));
    if (known == kFieldTypes.end()) {
      report_.add(type == nullptr ? member.key->place : type->place, "{} needs a type; allowed: {}", what,
                  "bool, integer, real, text");
      return;
    }
    field.type = static_cast<FieldType>(known - kFieldTypes.begin());
    field.min = number_in(*member.value, "min", what);
    field.max = number_in(*member.value, "max", what);
    if (const YamlNode* choices = member.value->find("choices")) {
      for (const PlacedText& choice : texts_of(*choices, what + ": choices", report_))
        field.choices.push_back(choice.text);
    }
    if (const YamlNode* doc = member.value->find("doc"))
      field.doc = text_of(*doc, what + ": doc", report_).value_or("");
    read_default(*member.value, member.key->place, what, field);
    entry_.about.fields.push_back(std::move(field));
  }

  void read_default(const YamlNode& node, Place place, const std::string& what, FieldInfo& field) {
    const YamlNode* written = node.find("default");
    if (written == nullptr) {
      report_.add(place, "{} has no default", what);
      return;
    }
    const auto value = scalar_value(*written);
    const Result<Json> normal = normalize_field(field, value.value_or(Json()));
    if (normal) {
      field.default_value = *normal;
    } else {
      report_.add(written->place, "{}: the default: {}", what, normal.error().message);
    }
  }

  std::optional<double> number_in(const YamlNode& node, const char* key, const std::string& what) {
    const YamlNode* written = node.find(key);
    if (written == nullptr) return std::nullopt;
    const Result<double> number = parse_real(written->text);
    if (number) return *number;
    report_.add(written->place, "{}: {} is {}; allowed: a number", what, key, seen(*written));
    return std::nullopt;
  }

  void read_capabilities() {
    CatalogEntry& about = entry_.about;
    const std::map<std::string, bool*> flags = {{"image", &about.image},
                                                {"text", &about.text},
                                                {"targeted", &about.targeted},
                                                {"black_box", &about.black_box}};
    const YamlNode* node = root_.find("capabilities");
    if (node == nullptr || !expect_map(*node, "capabilities", report_)) return;
    refuse_unknown_keys(*node, "capabilities", rules_->capabilities, report_);
    for (const YamlNode::Member& member : node->members) {
      const auto flag = flags.find(member.key->text);
      if (flag != flags.end()) *flag->second = truth_of(*member.value, member.key->text).value_or(false);
    }
    if (!about.image && !about.text)
      report_.add(node->place, "neither 'image' nor 'text' is left to work on");
  }

  std::optional<bool> truth_of(const YamlNode& node, const std::string& what) {
    const auto value = scalar_value(node);
    if (value && value->is_boolean()) return value->get<bool>();
    report_.add(node.place, "{} is {}; allowed: true or false", what, seen(node));
    return std::nullopt;
  }

  void read_commands() {
    entry_.command = words_of("command", true);
    entry_.inputs = groups_of("inputs", rules_->inputs);
    entry_.outputs = file_names_of("outputs");
    const YamlNode* outputs = root_.find("outputs");
    if (std::ranges::find(entry_.outputs, rules_->output) == entry_.outputs.end()) {
      report_.add(outputs == nullptr ? root_.place : outputs->place,
                  "outputs do not name '{}', which every {} leaves", rules_->output, name_of(entry_.kind));
    }
    for (const std::string& name : entry_.outputs) {
      if (name == rules_->output || name == "rows.json" || (entry_.refuses && name == kRefusalFile)) continue;
      report_.add(outputs->place, "outputs name '{}'; allowed: {}, rows.json{}", name, rules_->output,
                  entry_.refuses ? fmt::format(", {}", kRefusalFile) : "");
    }
    if (entry_.refuses && std::ranges::find(entry_.outputs, kRefusalFile) == entry_.outputs.end()) {
      report_.add(outputs == nullptr ? root_.place : outputs->place,
                  "the defense refuses queries, and outputs do not name '{}', a score for each of them",
                  kRefusalFile);
    }
    entry_.train = words_of("train", entry_.kind == EntryKind::kModel);
    entry_.about.trains = !entry_.train.empty() && entry_.kind == EntryKind::kDefense;
    if (entry_.train.empty()) return;
    if (rules_->train_inputs.empty()) {
      report_.add(root_.find("train")->place,
                  "'train' does not go with kind {}: what it learns, it learns in 'command'",
                  name_of(entry_.kind));
      return;
    }
    entry_.train_inputs = groups_of("train_inputs", rules_->train_inputs);
    entry_.checkpoint = file_names_of("checkpoint");
    if (entry_.checkpoint.empty())
      report_.add(root_.find("train")->place,
                  "'train' without 'checkpoint', the names of the files it leaves");
  }

  /// What a refusal is worth is told by one answer to a query, not by twenty.
  void read_refusals() {
    const YamlNode* node = root_.find("refuses");
    if (node == nullptr) return;
    entry_.refuses = truth_of(*node, "refuses").value_or(false);
    if (entry_.kind != EntryKind::kDefense) report_.add(node->place, "'refuses' belongs to defenses");
    const YamlNode* random = root_.find("random");
    if (entry_.refuses && random != nullptr && truth_of(*random, "random").value_or(false))
      report_.add(node->place, "the defense is random and refuses queries; allowed: one of both");
  }

  std::vector<std::string> words_of(const char* key, bool required) {
    const YamlNode* node = root_.find(key);
    if (node == nullptr) {
      if (required) report_.add(root_.place, "the descriptor has no '{}'", key);
      return {};
    }
    std::vector<std::string> words;
    if (!node->is_sequence() || node->items.empty()) {
      report_.add(node->place,
                  "{} is {}; allowed: a list of program and arguments, as in [python3, attack.py]", key,
                  node->is_sequence() ? "an empty list" : seen(*node));
      return {};
    }
    for (const YamlNode* item : node->items) {
      if (const auto word = text_of(*item, key, report_)) words.push_back(*word);
    }
    return words;
  }

  std::vector<std::string> groups_of(const char* key, const Names& allowed) {
    std::vector<std::string> groups;
    const YamlNode* node = root_.find(key);
    if (node == nullptr) return groups;
    for (const PlacedText& group : texts_of(*node, key, report_)) {
      if (std::ranges::find(allowed, group.text) == allowed.end()) {
        report_.add(group.place, "{}", unknown_name_message("group of inputs", group.text, allowed));
      } else if (group.text == "targets" && !entry_.about.targeted) {
        report_.add(group.place, "inputs ask for 'targets', but the capability 'targeted' is not stated");
      } else if (std::ranges::find(groups, group.text) == groups.end()) {
        groups.push_back(group.text);
      }
    }
    return groups;
  }

  std::vector<std::string> file_names_of(const char* key) {
    std::vector<std::string> names;
    const YamlNode* node = root_.find(key);
    if (node == nullptr) return names;
    for (const PlacedText& name : texts_of(*node, key, report_)) {
      if (!is_file_name(name.text)) {
        report_.add(name.place, "{} names '{}'; allowed: plain file names of letters, digits, '.', '_', '-'",
                    key, name.text);
      } else if (std::ranges::find(names, name.text) == names.end()) {
        names.push_back(name.text);
      }
    }
    return names;
  }

  void read_budget() {
    if (const YamlNode* node = root_.find("random"))
      entry_.random = truth_of(*node, "random").value_or(false);
    const YamlNode* node = root_.find("budget");
    if (node == nullptr) return;
    if (entry_.kind != EntryKind::kAttack) {
      report_.add(node->place, "'budget' belongs to attacks");
      return;
    }
    if (!expect_map(*node, "budget", report_)) return;
    refuse_unknown_keys(*node, "budget", kNorms, report_);
    for (const YamlNode::Member& member : node->members) {
      ExternalBudget budget{member.key->text, "", 0};
      const auto field = std::ranges::find(entry_.about.fields, member.value->text, &FieldInfo::name);
      const Result<double> number = parse_real(member.value->text);
      if (field != entry_.about.fields.end() &&
          (field->type == FieldType::kReal || field->type == FieldType::kInteger)) {
        budget.field = field->name;
      } else if (number && *number >= 0) {
        budget.value = *number;
      } else {
        report_.add(member.value->place,
                    "budget: {} is {}; allowed: a number or a numeric field of the entry", member.key->text,
                    seen(*member.value));
      }
      entry_.budget.push_back(std::move(budget));
    }
  }

  void read_metric() {
    for (const char* key : {"unit", "higher_is_better"}) {
      const YamlNode* node = root_.find(key);
      if (node != nullptr && entry_.kind != EntryKind::kMetric)
        report_.add(node->place, "'{}' belongs to metrics", key);
    }
    if (entry_.kind != EntryKind::kMetric) return;
    entry_.unit = optional_text("unit").value_or("ratio");
    if (const YamlNode* node = root_.find("higher_is_better"))
      entry_.higher_is_better = truth_of(*node, "higher_is_better").value_or(true);
  }

  std::optional<std::string> required_text(const char* key) {
    if (const auto text = optional_text(key)) return text;
    if (root_.find(key) == nullptr) report_.add(root_.place, "the descriptor has no '{}'", key);
    return std::nullopt;
  }

  std::optional<std::string> optional_text(const char* key) {
    const YamlNode* node = root_.find(key);
    return node == nullptr ? std::nullopt : text_of(*node, key, report_);
  }

  const YamlNode& root_;
  Report& report_;
  const Rules* rules_ = nullptr;
  ExternalEntry entry_;
};

}  // namespace

ExternalEntry read_descriptor(const YamlNode& root, Report& report) {
  return DescriptorReader(root, report).read();
}

}  // namespace gauntlet::spec::detail
