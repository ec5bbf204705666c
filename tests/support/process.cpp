#include "tests/support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/support/temp_folder.hpp"

namespace gauntlet::testing_support {
namespace {

using Clock = std::chrono::steady_clock;

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Living {
  pid_t parent = 0;
  char state = 'Z';
  std::string command;
};

std::map<pid_t, Living> living_processes() {
  std::map<pid_t, Living> all;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    const std::string stat = content_of(entry.path() / "stat");
    const std::size_t close = stat.rfind(')');
    if (close == std::string::npos) continue;
    Living living;
    std::istringstream(stat.substr(close + 1)) >> living.state >> living.parent;
    living.command = content_of(entry.path() / "cmdline");
    std::replace(living.command.begin(), living.command.end(), '\0', ' ');
    if (living.state != 'Z' && living.state != 'X') all[static_cast<pid_t>(std::stol(name))] = living;
  }
  return all;
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const std::filesystem::path& directory,
                 const std::map<std::string, std::string>& environment) {
  static int counter = 0;
  static const TempFolder outputs;  // not in `directory`, which may be a folder that people look at
  const std::string stem = "process" + std::to_string(counter++);
  out_path_ = outputs.path() / (stem + ".out");
  err_path_ = outputs.path() / (stem + ".err");
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ != 0) {
    if (pid_ > 0) ::setpgid(pid_, pid_);
    return;
  }
  ::setpgid(0, 0);
  const int out = ::open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int err = ::open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int in = ::open("/dev/null", O_RDONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (::chdir(directory.c_str()) != 0) ::_exit(126);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

Process::~Process() {
  if (pid_ <= 0 || reaped_) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
}

bool Process::is_running() {
  if (!reaped_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) reaped_ = true;
  return !reaped_;
}

void Process::send(int signal) const { ::kill(pid_, signal); }

Finished Process::wait(std::chrono::seconds limit) {
  if (!wait_until([&] { return !is_running(); }, limit)) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
    reaped_ = true;
  }
  const int code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  return {code, out(), err()};
}

std::string Process::out() const { return content_of(out_path_); }
std::string Process::err() const { return content_of(err_path_); }

Finished run(const std::vector<std::string>& command, const std::filesystem::path& directory,
             const std::map<std::string, std::string>& environment, std::chrono::seconds limit) {
  return Process(command, directory, environment).wait(limit);
}

std::vector<pid_t> descendants(pid_t root, const std::string& text) {
  const std::map<pid_t, Living> all = living_processes();
  std::vector<pid_t> found;
  for (const auto& [pid, living] : all) {
    if (living.command.find(text) == std::string::npos) continue;
    std::set<pid_t> seen;
    pid_t ancestor = living.parent;
    while (ancestor > 1 && ancestor != root && all.count(ancestor) == 1 && seen.insert(ancestor).second) {
      ancestor = all.at(ancestor).parent;
    }
    if (ancestor == root) found.push_back(pid);
  }
  return found;
}

std::vector<pid_t> processes_with(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& [pid, living] : living_processes()) {
    if (living.command.find(text) != std::string::npos) found.push_back(pid);
  }
  return found;
}

bool wait_until(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto deadline = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    ::poll(nullptr, 0, 10);  // let the condition's processes run
  }
  return true;
}

}  // namespace gauntlet::testing_support
