#include "worker/agent/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include <optional>
#include <sstream>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

/// The number behind "oom_kill" in a file of "name number" lines.
std::optional<std::uint64_t> oom_kills_in(const std::filesystem::path& file) {
  const Result<std::string> text = read_file(file, 1 << 16);
  if (!text) return std::nullopt;
  std::istringstream words(*text);
  std::string name;
  for (std::uint64_t number = 0; words >> name >> number;) {
    if (name == "oom_kill") return number;
  }
  return std::nullopt;
}

}  // namespace

std::int64_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max<std::int64_t>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
}

std::int64_t physical_memory_mb() {
  const std::int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  const std::int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? pages * page_bytes / (1 << 20) : 0;
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

std::uint64_t oom_kills(const std::filesystem::path& root) {
  const std::filesystem::path groups = root / "sys/fs/cgroup";
  const Result<std::string> mine = read_file(root / "proc/self/cgroup", 1 << 16);
  std::istringstream lines(mine.value_or(""));
  for (std::string line; std::getline(lines, line);) {  // "4:memory:/group", "0::/group"
    std::optional<std::uint64_t> number;
    if (line.starts_with("0::/")) {
      number = oom_kills_in(groups / line.substr(4) / "memory.events");
    } else if (const std::size_t at = line.find(":memory:/"); at != std::string::npos) {
      number = oom_kills_in(groups / "memory" / line.substr(at + 9) / "memory.oom_control");
    }
    if (number) return *number;
  }
  return oom_kills_in(root / "proc/vmstat").value_or(0);
}

std::filesystem::path program_folder() {
  std::error_code unknown;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return unknown ? std::filesystem::path() : program.parent_path();
}

}  // namespace gauntlet::worker
