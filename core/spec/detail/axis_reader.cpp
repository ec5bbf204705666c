#include "core/spec/detail/axis_reader.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/spec/swap.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::uint64_t kMaxSeed =
    (std::uint64_t{1} << 63) - 1;  // databases store it as a signed 64-bit integer

const Names& value_keys(Axis axis) {
  switch (axis) {
    case Axis::kDataset:
    case Axis::kModel:
    case Axis::kDefense:
      return kEntryValueKeys;
    case Axis::kAttack:
      return kAttackValueKeys;
    case Axis::kBits:
    case Axis::kDirection:
    case Axis::kSeed:
      return kPlainValueKeys;
  }
  return kPlainValueKeys;
}

}  // namespace

std::optional<std::uint32_t> AxisReader::find_label(Axis axis, std::string_view label) const {
  const auto& labels = by_label_[static_cast<std::size_t>(axis)];
  const auto found = labels.find(std::string(label));
  return found == labels.end() ? std::nullopt : std::optional(found->second);
}

std::uint32_t AxisReader::append(Axis axis, AxisValue value) {
  const auto index = static_cast<std::uint32_t>(pool(axis).size());
  by_label_[static_cast<std::size_t>(axis)].emplace(value.label, index);
  pool(axis).push_back(std::move(value));
  return index;
}

std::optional<std::uint32_t> AxisReader::add_axis_value(Axis axis, const YamlNode& node) {
  auto value = read_value(axis, node);
  if (!value) return std::nullopt;
  const auto taken = find_label(axis, value->label);
  if (!taken) return append(axis, std::move(*value));
  const AxisValue& other = pool(axis)[*taken];
  if (other.same_as(*value)) {
    report_.add(value->place, "{} '{}' is listed twice (first on line {})", name_of(axis), value->label,
                other.place.line);
  } else {
    report_.add(value->place,
                "two values of {} are called '{}' (the other is on line {}); give one a label of its own",
                name_of(axis), value->label, other.place.line);
  }
  return std::nullopt;
}

std::optional<std::uint32_t> AxisReader::resolve(Axis axis, const YamlNode& node) {
  if (node.is_scalar()) {
    if (const auto known = find_label(axis, node.text)) return known;
  }
  auto value = read_value(axis, node);
  if (!value) return std::nullopt;
  const auto taken = find_label(axis, value->label);
  if (!taken) return append(axis, std::move(*value));
  const AxisValue& other = pool(axis)[*taken];
  if (other.same_as(*value)) return taken;
  report_.add(value->place,
              "{} '{}' differs from the value of that label on line {}; give it a label of its own",
              name_of(axis), value->label, other.place.line);
  return std::nullopt;
}

std::uint32_t AxisReader::add_default(Axis axis, std::string_view name) {
  AxisValue value;
  value.name = value.label = name;
  if (axis == Axis::kSeed) value.number = 1;
  if (axis == Axis::kAttack) value.scope.on_queries = spec_.on_queries;
  return append(axis, std::move(value));
}

/// Labels tell what a value says itself, not what the sweep says for all.
std::optional<AxisValue> AxisReader::read_value(Axis axis, const YamlNode& node) {
  auto value = read_written(axis, node);
  if (value && axis == Axis::kAttack && value->scope.on_queries == 0)
    value->scope.on_queries = spec_.on_queries;
  return value;
}

std::optional<AxisValue> AxisReader::read_written(Axis axis, const YamlNode& node) {
  AxisValue value;
  value.place = node.place;
  if (!node.is_map()) {
    if (!read_name(axis, node, value)) return std::nullopt;
    value.label = own_label(axis, value);
    return value;
  }
  const YamlNode* name = node.find("name");
  if (name == nullptr) {
    report_.add(node.place, "a value of {} has no 'name'", name_of(axis));
    return std::nullopt;
  }
  if (!read_name(axis, *name, value)) return std::nullopt;
  const auto kind = entry_kind_of(axis);
  const CatalogEntry* entry = kind ? *catalog_.find(*kind, value.name) : nullptr;
  for (const YamlNode::Member& member : node.members) read_member(axis, member, entry, value);
  if (axis == Axis::kAttack && entry != nullptr) check_scope(node, *entry, value);
  if (value.label.empty()) value.label = own_label(axis, value) + scope_words(value.scope);
  return value;
}

/// What a value is called that the file gives no label: an ensemble by its set and version, since another set
/// is another column; a transfer by its source too, since the cell names the target alone.
std::string AxisReader::own_label(Axis axis, const AxisValue& value) const {
  if (axis != Axis::kAttack) return value.name;
  if (!value.source.empty()) {
    std::string label = value.name + " from";
    for (const auto& [of, text] : value.source) {
      const bool is_number = of == Axis::kBits || of == Axis::kSeed;
      label += is_number ? fmt::format(" {} {}", spec::name_of(of), text) : " " + text;
    }
    return label;
  }
  const auto entry = catalog_.find(EntryKind::kAttack, value.name);
  if (!entry || !(*entry)->ensemble) return value.name;
  const std::string usual = (*entry)->fields.front().default_value.get<std::string>();
  const auto set = find_attack_set(catalog_.attack_sets(), value.name, value.options.value("set", usual));
  return set ? (*set)->text() : value.name;
}

bool AxisReader::read_name(Axis axis, const YamlNode& node, AxisValue& value) {
  const auto what = fmt::format("a value of {}", name_of(axis));
  if (axis == Axis::kBits || axis == Axis::kSeed) {
    const bool is_bits = axis == Axis::kBits;
    const auto number =
        integer_of(node, what, is_bits ? 1 : 0, is_bits ? std::uint64_t{kMaxCodeBits} : kMaxSeed, report_);
    if (!number) return false;
    value.number = *number;
    value.name = std::to_string(*number);
    return true;
  }
  const auto name = text_of(node, what, report_);
  if (!name) return false;
  value.name = *name;
  if (axis == Axis::kDirection) {
    if (std::ranges::find(kDirections, *name) != kDirections.end()) return true;
    report_.add(node.place, "{}", unknown_name_message("direction", *name, kDirections));
    return false;
  }
  const auto entry = catalog_.find(*entry_kind_of(axis), *name);
  if (!entry) report_.add(node.place, "{}", entry.error().message);
  return entry.has_value();
}

void AxisReader::read_member(Axis axis, const YamlNode::Member& member, const CatalogEntry* entry,
                             AxisValue& value) {
  const std::string& key = member.key->text;
  const Names& own_keys = value_keys(axis);
  if (key == "name") return;
  if (key == "when") {
    value.when = read_selector(*member.value, fmt::format("when of {} '{}'", name_of(axis), value.name));
    if (value.when.any_of.erase(axis) > 0) {
      report_.add(member.key->place, "when of a value of {} cannot name {} itself", name_of(axis),
                  name_of(axis));
    }
  } else if (key == "label" && entry != nullptr) {
    value.label = text_of(*member.value, "label", report_).value_or(value.name);
  } else if (key == "source" && axis == Axis::kAttack && entry != nullptr) {
    read_source(*member.value, *entry, value);
  } else if (key == "protocol" && axis == Axis::kAttack) {
    const auto protocol = text_of(*member.value, "protocol", report_);
    if (protocol && std::ranges::find(kProtocols, *protocol) == kProtocols.end()) {
      report_.add(member.value->place, "{}", unknown_name_message("protocol", *protocol, kProtocols));
    }
    value.protocol = protocol.value_or("");
  } else if (axis == Axis::kAttack && entry != nullptr && read_scope(member, *entry, value.scope)) {
    return;
  } else if (entry != nullptr) {
    read_option(member, *entry, own_keys, value);
  } else {
    report_.add(member.key->place, "{}",
                unknown_name_message(fmt::format("key of a value of {}", name_of(axis)), key, own_keys));
  }
}

void AxisReader::read_source(const YamlNode& node, const CatalogEntry& entry, AxisValue& value) {
  if (entry.name == "none" || entry.ensemble || entry.name == kSwapAttack) {
    report_.add(node.place, "{} takes no source; transfer is told of single attacks", entry.name);
    return;
  }
  const std::string what = fmt::format("source of attack '{}'", entry.name);
  if (!expect_map(node, what, report_)) return;
  refuse_unknown_keys(node, what, kSourceKeys, report_);
  for (const YamlNode::Member& member : node.members) {
    const auto axis = axis_from(member.key->text);
    if (!axis || std::ranges::find(kSourceKeys, member.key->text) == kSourceKeys.end()) continue;
    AxisValue
        named;  // as the value of that axis will be called, which for numbers is not how they are written
    if (*axis == Axis::kBits || *axis == Axis::kSeed) {
      if (!read_name(*axis, *member.value, named)) continue;
    } else if (const auto text =
                   text_of(*member.value, fmt::format("{} of {}", member.key->text, what), report_)) {
      named.name = *text;
    } else {
      continue;
    }
    value.source[*axis] = named.name;
    sources_.emplace_back(*axis, member.value);
  }
  if (node.members.empty()) report_.add(node.place, "{} names nothing", what);
}

void AxisReader::resolve_sources() {
  for (const auto& [axis, node] : sources_) static_cast<void>(resolve(axis, *node));
  sources_.clear();
}

void AxisReader::read_option(const YamlNode::Member& member, const CatalogEntry& entry, const Names& own_keys,
                             AxisValue& value) {
  const std::string& key = member.key->text;
  const auto field = std::ranges::find(entry.fields, key, &FieldInfo::name);
  if (field == entry.fields.end()) {
    Names known = own_keys;
    for (const FieldInfo& each : entry.fields) known.push_back(each.name);
    report_.add(member.key->place, "{}: {}", entry.name, unknown_name_message("option", key, known));
    return;
  }
  const auto written = scalar_value(*member.value);
  if (!written) {
    report_.add(member.value->place, "{}: '{}' is {}; allowed: {}", entry.name, key, seen(*member.value),
                name_of(field->type));
    return;
  }
  auto normal = normalize_field(*field, *written);
  if (normal) {
    value.options[key] = std::move(*normal);
  } else {
    report_.add(member.value->place, "{}: {}", entry.name, normal.error().message);
  }
}

Selector AxisReader::read_selector(const YamlNode& node, std::string_view what) {
  Selector selector;
  if (!expect_map(node, what, report_)) return selector;
  refuse_unknown_keys(node, what, kAxisKeys, report_);
  for (const YamlNode::Member& member : node.members) {
    const auto axis = axis_from(member.key->text);
    if (!axis) continue;
    for (PlacedText& text :
         texts_of(*member.value, fmt::format("{} of {}", member.key->text, what), report_)) {
      selector.any_of[*axis].push_back(text.text);
      pending_.push_back({*axis, std::move(text)});
    }
  }
  return selector;
}

bool AxisReader::matches(Axis axis, std::uint32_t value, const std::vector<std::string>& texts) const {
  const AxisValue& candidate = spec_.of(axis)[value];
  return std::ranges::any_of(
      texts, [&](const std::string& text) { return text == candidate.label || text == candidate.name; });
}

void AxisReader::check_pending_names() {
  for (const PendingName& pending : pending_) {
    const auto kind = entry_kind_of(pending.axis);
    Names known = kind ? catalog_.names(*kind) : Names();
    if (pending.axis == Axis::kDirection) known = kDirections;
    for (const AxisValue& value : spec_.of(pending.axis)) {
      if (std::ranges::find(known, value.label) == known.end()) known.push_back(value.label);
    }
    if (std::ranges::find(known, pending.name.text) != known.end()) continue;
    report_.add(pending.name.place, "{}",
                unknown_name_message(name_of(pending.axis), pending.name.text, known));
  }
}

}  // namespace gauntlet::spec::detail
