#include "core/spec/detail/external_surroundings.hpp"

#include <algorithm>
#include <filesystem>

#include "core/spec/detail/section_readers.hpp"

namespace gauntlet::spec::detail {
namespace {

const Names kLimitKeys = {"time", "memory", "disk", "log"};
constexpr std::int64_t kMaxAmount = 1'000'000'000;  // of a limit: seconds (30 years), megabytes

bool is_variable_name(std::string_view name) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') && std::ranges::all_of(name, is_part);
}

void read_files(const YamlNode& root, ExternalEntry& entry, Report& report) {
  if (const YamlNode* node = root.find("files")) {
    for (const PlacedText& file : texts_of(*node, "files", report)) {
      const std::filesystem::path path = std::filesystem::path(file.text).lexically_normal();
      const std::string first = path.empty() ? "" : path.begin()->string();
      if (path.empty() || path.is_absolute() || first == ".." || !path.has_filename()) {
        report.add(file.place, "files name '{}'; allowed: files in the descriptor's own folder", file.text);
      } else if (first == "inputs" || first == "outputs") {
        report.add(file.place, "files name '{}'; the folders 'inputs' and 'outputs' are made for the command",
                   file.text);
      } else {
        entry.files.push_back(path.string());
      }
    }
  }
  std::ranges::sort(entry.files);
  if (const YamlNode* node = root.find("venv")) entry.venv = text_of(*node, "venv", report).value_or("");
}

void read_environment(const YamlNode& root, ExternalEntry& entry, Report& report) {
  const YamlNode* node = root.find("environment");
  if (node == nullptr || !expect_map(*node, "environment", report)) return;
  for (const YamlNode::Member& member : node->members) {
    const std::string& name = member.key->text;
    if (!is_variable_name(name) || name.starts_with("GAUNTLET")) {
      report.add(member.key->place, "environment names '{}'; allowed: letters, digits, '_', not GAUNTLET…",
                 name);
    } else if (!member.value->is_scalar()) {
      report.add(member.value->place, "environment: '{}' is {}; allowed: a text", name, seen(*member.value));
    } else {
      entry.environment.emplace_back(name, member.value->text);
    }
  }
}

bool read_limit(const YamlNode& limits, const char* key, Result<std::int64_t> (*parse)(std::string_view),
                std::int64_t& amount, Report& report) {
  const YamlNode* node = limits.find(key);
  if (node == nullptr) return false;
  const Result<std::int64_t> value = parse(node->text);
  if (value && *value > 0 && *value <= kMaxAmount) {
    amount = *value;
    return true;
  }
  report.add(node->place, "limits: {} is {}; {}", key, seen(*node),
             value ? "allowed: more than nothing, up to 10^9 seconds or megabytes" : value.error().message);
  return false;
}

void read_limits(const YamlNode& root, ExternalLimits& limits, Report& report) {
  const YamlNode* node = root.find("limits");
  if (node == nullptr || !expect_map(*node, "limits", report)) return;
  refuse_unknown_keys(*node, "limits", kLimitKeys, report);
  read_limit(*node, "time", &parse_duration_s, limits.time_s, report);
  read_limit(*node, "memory", &parse_memory_mb, limits.memory_mb, report);
  read_limit(*node, "disk", &parse_memory_mb, limits.disk_mb, report);
  std::int64_t log_mb = 0;
  if (read_limit(*node, "log", &parse_memory_mb, log_mb, report)) limits.log_bytes = log_mb * 1'000'000;
}

}  // namespace

void read_surroundings(const YamlNode& root, ExternalEntry& entry, Report& report) {
  read_files(root, entry, report);
  read_environment(root, entry, report);
  read_limits(root, entry.limits, report);
}

}  // namespace gauntlet::spec::detail
