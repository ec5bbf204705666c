#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/text.hpp"
#include "core/spec/detail/section_readers.hpp"

namespace gauntlet::spec::detail {
namespace {

constexpr std::uint64_t kMaxCpus = 4096;
constexpr std::uint64_t kMaxRanks = 1024;
constexpr std::int64_t kMaxMemoryMb = std::int64_t{1} << 30;
constexpr std::int64_t kMaxSeconds = std::int64_t{366} * 86'400;
constexpr std::uint64_t kMaxNoopMs = 3'600'000;

/// Reads a number at the start of `text` and removes it.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

void read_quantity(const YamlNode& node, std::string_view what,
                   Result<std::int64_t> (*parse)(std::string_view), std::int64_t& amount, Report& report) {
  const auto value = node.is_scalar() ? parse(node.text) : fail(ErrorCode::kInvalid, "it is {}", seen(node));
  if (value) {
    amount = *value;
  } else {
    report.add(node.place, "{}: {}", what, value.error().message);
  }
}

/// {disk: ssd, site: north}
void read_labels(const YamlNode& node, std::string_view what, std::map<std::string, std::string>& labels,
                 Report& report) {
  if (!expect_map(node, what, report)) return;
  labels.clear();
  for (const YamlNode::Member& member : node.members) {
    const auto value = text_of(*member.value, fmt::format("label {}", member.key->text), report);
    if (!value) continue;
    labels[member.key->text] = *value;
    if (is_label_word(member.key->text) && is_label_word(*value)) continue;
    report.add(member.key->place,
               "{}: '{}: {}' is no label; names and values are 1 to 64 letters, digits or ._-/", what,
               member.key->text, *value);
  }
  if (labels.size() > kMaxLabels)
    report.add(node.place, "{}: {} are too many; at most {} are allowed", what, labels.size(), kMaxLabels);
}

void read_amount(const YamlNode::Member& member, JobKind kind, Resources& resources, Report& report) {
  const std::string& key = member.key->text;
  const auto what = fmt::format("{} of {}", key, name_of(kind));
  const auto read_count = [&](std::uint64_t low, std::uint64_t high, std::int64_t& amount) {
    if (const auto value = integer_of(*member.value, what, low, high, report))
      amount = static_cast<std::int64_t>(*value);
  };
  if (key == "cpus") read_count(kind == JobKind::kNoop ? 0 : 1, kMaxCpus, resources.cpus);
  if (key == "gpus") read_count(0, kMaxRanks, resources.gpus);
  if (key == "ranks") read_count(1, kMaxRanks, resources.ranks);
  if (key == "memory") read_quantity(*member.value, what, &parse_memory_mb, resources.memory_mb, report);
  if (key == "time") read_quantity(*member.value, what, &parse_duration_s, resources.time_s, report);
  if (key == "labels") read_labels(*member.value, what, resources.labels, report);
}

void read_variant(const YamlNode& node, JobKind kind, const Names& keys, Resources& resources,
                  Report& report) {
  const auto what = fmt::format("resources of {}", name_of(kind));
  if (!expect_map(node, what, report)) return;
  refuse_unknown_keys(node, what, keys, report);
  for (const YamlNode::Member& amount : node.members) {
    const bool known = std::find(keys.begin(), keys.end(), amount.key->text) != keys.end();
    if (known) read_amount(amount, kind, resources, report);
  }
}

/// [{gpus: 1}, {cpus: 8}]: the first that fits; amounts that a variant does not name are the kind's defaults.
void read_variants(const YamlNode& list, JobKind kind, Resources& resources, Report& report) {
  for (std::size_t index = 0; index < list.items.size(); ++index) {
    Resources& variant = index == 0 ? resources : resources.or_else.emplace_back(default_resources(kind));
    read_variant(*list.items[index], kind, index == 0 ? kResourceKeys : kVariantKeys, variant, report);
  }
  for (Resources& other : resources.or_else) other.time_s = resources.time_s;
  const Status checked = check_variants(resources);
  if (!checked) report.add(list.place, "{} of {}", checked.error().message, name_of(kind));
  if (list.items.empty())
    report.add(list.place, "resources of {}: the list of variants is empty", name_of(kind));
}

}  // namespace

Result<std::int64_t> parse_memory_mb(std::string_view text) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  static constexpr Unit kUnits[] = {
      {"KB", 1e3},     {"MB", 1e6},        {"GB", 1e9},           {"TB", 1e12},
      {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
  std::string_view rest = text;
  const auto amount = take_number(rest);
  while (amount && rest.starts_with(' ')) rest.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (!amount || rest != unit.name) continue;
    const double mb = std::ceil(*amount * unit.bytes / 1e6);
    if (mb >= 1 && mb <= static_cast<double>(kMaxMemoryMb)) return static_cast<std::int64_t>(mb);
  }
  return fail(ErrorCode::kInvalid, "'{}' is not an amount of memory; write it as 512MB, 8GB or 8GiB", text);
}

Result<std::int64_t> parse_duration_s(std::string_view text) {
  std::string_view rest = text;
  double seconds = 0;
  bool is_valid = !rest.empty();
  while (is_valid && !rest.empty()) {
    const auto amount = take_number(rest);
    const std::string_view units = "smhd";
    static constexpr double kSeconds[] = {1, 60, 3600, 86400};
    const std::size_t unit = rest.empty() ? std::string_view::npos : units.find(rest.front());
    is_valid = amount && unit != std::string_view::npos;
    if (!is_valid) break;
    seconds += *amount * kSeconds[unit];
    rest.remove_prefix(1);
  }
  if (!is_valid || seconds < 1 || seconds > static_cast<double>(kMaxSeconds)) {
    return fail(ErrorCode::kInvalid,
                "'{}' is not a time limit; write it as 90s, 30m, 4h, 1h30m or 2d, up to 366d", text);
  }
  return static_cast<std::int64_t>(std::ceil(seconds));
}

void read_resources(const YamlNode& node, std::map<JobKind, Resources>& resources, Report& report) {
  if (!expect_map(node, "resources", report)) return;
  for (const YamlNode::Member& member : node.members) {
    const auto kind = job_kind_from(member.key->text);
    if (!kind) {
      report.add(member.key->place, "resources: {}", kind.error().message);
      continue;
    }
    if (member.value->is_sequence()) {
      read_variants(*member.value, *kind, resources[*kind], report);
    } else {
      read_variant(*member.value, *kind, kResourceKeys, resources[*kind], report);
    }
  }
}

NoopPlan read_noop(const YamlNode& node, Report& report) {
  NoopPlan plan;
  if (!expect_map(node, "noop", report)) return plan;
  refuse_unknown_keys(node, "noop", kNoopKeys, report);
  const YamlNode* jobs = node.find("jobs");
  const YamlNode* ms = node.find("ms");
  if (jobs == nullptr) report.add(node.place, "noop does not say how many 'jobs'");
  if (jobs != nullptr) plan.jobs = integer_of(*jobs, "jobs of noop", 1, kMaxCells, report).value_or(1);
  if (ms != nullptr)
    plan.ms = static_cast<std::int64_t>(integer_of(*ms, "ms of noop", 0, kMaxNoopMs, report).value_or(0));
  return plan;
}

NoopPlan read_command(const YamlNode& node, Report& report) {
  NoopPlan plan;
  plan.run = {"true"};  // a plan of commands, whatever is wrong below
  if (!expect_map(node, "command", report)) return plan;
  refuse_unknown_keys(node, "command", kCommandKeys, report);
  if (const YamlNode* jobs = node.find("jobs")) {
    plan.jobs = integer_of(*jobs, "jobs of command", 1, kMaxCells, report).value_or(1);
  } else {
    report.add(node.place, "command does not say how many 'jobs'");
  }
  const YamlNode* run = node.find("run");
  if (run == nullptr || !run->is_sequence() || run->items.empty()) {
    report.add(
        run == nullptr ? node.place : run->place,
        "command does not say what to 'run'; allowed: a list of program and arguments, as in [sleep, 1]");
    return plan;
  }
  plan.run.clear();
  for (const YamlNode* word : run->items)
    plan.run.push_back(text_of(*word, "run of command", report).value_or("?"));
  return plan;
}

}  // namespace gauntlet::spec::detail

namespace gauntlet::spec {

Result<std::int64_t> duration_s_from(std::string_view text) { return detail::parse_duration_s(text); }

}  // namespace gauntlet::spec
