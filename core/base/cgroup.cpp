#include "core/base/cgroup.hpp"

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/base/files.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;

/// Version 1 says "no limit" by a number near the largest there is.
constexpr double kNoLimit = 1e18;

std::optional<double> number_in(const std::string& text) {
  const char* begin = text.c_str();
  char* end = nullptr;
  const double value = std::strtod(begin, &end);
  return end == begin ? std::nullopt : std::optional(value);
}

std::optional<double> number_at(const fs::path& file) {
  const Result<std::string> text = read_file(file, 4096);
  return text ? number_in(*text) : std::nullopt;
}

void take_memory(std::optional<double> bytes, CgroupLimits& limits) {
  if (!bytes || *bytes <= 0 || *bytes > kNoLimit) return;
  const auto whole = static_cast<std::uint64_t>(*bytes);
  limits.memory_bytes = std::min(limits.memory_bytes.value_or(whole), whole);
}

void take_cpus(std::optional<double> quota, std::optional<double> period, CgroupLimits& limits) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;
  const double cpus = *quota / *period;
  limits.cpus = std::min(limits.cpus.value_or(cpus), cpus);
}

/// "max 100000" or "250000 100000"
void take_cpu_max(const fs::path& file, CgroupLimits& limits) {
  const Result<std::string> text = read_file(file, 4096);
  if (!text) return;
  std::istringstream words(*text);
  std::string quota, period;
  words >> quota >> period;
  take_cpus(number_in(quota), number_in(period), limits);
}

/// Calls `take` with the group's folder and those above it, up to the controller's own.
template <class Take>
void for_each_group(const fs::path& controller, const std::string& group, Take take) {
  fs::path folder = controller / fs::path(group).relative_path();
  std::error_code ignored;
  // In a container the path is often the host's: the limits are then those at the controller's own folder.
  if (!fs::exists(folder, ignored)) folder = controller;
  while (true) {
    take(folder);
    if (folder == controller || !folder.has_parent_path()) return;
    folder = folder.parent_path();
  }
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  const fs::path base = root / "sys/fs/cgroup";
  const Result<std::string> groups = read_file(root / "proc/self/cgroup", 1 << 16);
  if (!groups) return limits;
  std::istringstream lines(*groups);
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/group", "0::/group"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string group = line.substr(second + 1);
    while (group.size() > 1 && group.ends_with('/')) group.pop_back();
    if (group == "/") group.clear();
    if (controllers == ",,") {
      for_each_group(base, group, [&](const fs::path& folder) {
        take_memory(number_at(folder / "memory.max"), limits);
        take_cpu_max(folder / "cpu.max", limits);
      });
    } else if (controllers.find(",memory,") != std::string::npos) {
      for_each_group(base / "memory", group, [&](const fs::path& folder) {
        take_memory(number_at(folder / "memory.limit_in_bytes"), limits);
      });
    } else if (controllers.find(",cpu,") != std::string::npos) {
      for_each_group(base / "cpu", group, [&](const fs::path& folder) {
        take_cpus(number_at(folder / "cpu.cfs_quota_us"), number_at(folder / "cpu.cfs_period_us"), limits);
      });
    }
  }
  return limits;
}

}  // namespace gauntlet
