#include "worker/launch/strays.hpp"

#include <dirent.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

constexpr std::size_t kMaxEnvironmentBytes = std::size_t{1} << 20;
/// A process may fork between the look and the kill; its child has the mark too.
constexpr int kMaxRounds = 10;

std::vector<pid_t> marked(const std::string& entry) {
  std::vector<pid_t> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), &::closedir);
  if (!processes) return found;
  while (const dirent* const process = ::readdir(processes.get())) {
    const std::string_view name(process->d_name);
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size() || pid == ::getpid()) continue;
    const Result<std::string> environment =
        read_file(fmt::format("/proc/{}/environ", pid), kMaxEnvironmentBytes);
    if (environment && environment->find(entry) != std::string::npos) found.push_back(pid);
  }
  return found;
}

}  // namespace

std::string new_mark() {
  static std::random_device device;
  return fmt::format("{}-{:08x}{:08x}", ::getpid(), device(), device());
}

int kill_marked(const std::string& mark, const char* variable) {
  const std::string entry = fmt::format("{}={}", variable, mark) + '\0';
  std::set<pid_t> killed;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool any_new = false;
    for (const pid_t pid : marked(entry)) {
      any_new = killed.insert(pid).second || any_new;
      ::kill(pid, SIGKILL);
    }
    if (!any_new) break;  // a killed one shows until it is reaped; its environment is empty by then
  }
  return static_cast<int>(killed.size());
}

}  // namespace gauntlet::worker
