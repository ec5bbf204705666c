#include "worker/external/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "core/base/child.hpp"
#include "core/base/descriptor.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::external {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr std::size_t kTailBytes = 4096;
constexpr std::size_t kTailLines = 20;
constexpr auto kLook = std::chrono::milliseconds(100);  ///< between two looks at what it has written

/// This process's environment with the program's own variables instead of those of the same name; nothing
/// when it has none.
std::optional<Variables> environment_of(const Program& program) {
  if (program.venv.empty() && program.environment.empty()) return std::nullopt;
  Variables all = environment_with(program.environment);
  if (program.venv.empty()) return all;
  const auto is_ours = [&](const std::string& name) {
    return std::ranges::any_of(program.environment, [&](const auto& each) { return each.first == name; });
  };
  std::erase_if(all, [&](const auto& each) {
    return (each.first == "PYTHONHOME" || each.first == "VIRTUAL_ENV") && !is_ours(each.first);
  });
  all.emplace_back("VIRTUAL_ENV", program.venv);
  const auto path =
      std::find_if(all.begin(), all.end(), [](const auto& each) { return each.first == "PATH"; });
  if (path == all.end()) {
    all.emplace_back("PATH", program.venv + "/bin:/usr/bin:/bin");
  } else {
    path->second = program.venv + "/bin:" + path->second;
  }
  return all;
}

/// Of the environment that the program will have.
std::string search_path(const std::optional<Variables>& environment) {
  const char* const own = std::getenv("PATH");
  std::string folders = "/usr/bin:/bin";
  if (!environment && own != nullptr) folders = own;
  for (const auto& [variable, value] : environment.value_or(Variables())) {
    if (variable == "PATH") folders = value;
  }
  return folders;
}

Result<std::string> find_program(const Program& program, const std::optional<Variables>& environment) {
  const std::string& name = program.argv.front();
  if (name.find('/') != std::string::npos) return (program.folder / name).string();
  const std::string folders = search_path(environment);
  std::string path;
  for (std::size_t at = 0; at < folders.size(); at += path.size() - name.size()) {
    path.assign(folders, at, folders.find(':', at) - at);
    path += '/' + name;
    std::error_code ignored;
    if (path.size() <= name.size() + 1 || ::access(path.c_str(), X_OK) != 0) continue;
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return fail(ErrorCode::kInvalid, "there is no program '{}' in {}", name, folders);
}

ChildStart start_of(const Program& program, const std::string& path,
                    const std::optional<Variables>& environment, int output) {
  const auto disk = static_cast<std::uint64_t>(program.limits.disk_mb) * 1'000'000;
  ChildStart start{.program = path,
                   .arguments = program.argv,
                   .environment = environment,
                   .folder = program.folder.string(),
                   .output = output,
                   .default_signals = {SIGPIPE, SIGUSR1, SIGINT, SIGTERM, SIGXFSZ},
                   .limits = {{RLIMIT_CORE, 0}, {RLIMIT_FSIZE, disk}}};
  if (program.limits.memory_mb > 0)
    start.limits.emplace_back(RLIMIT_AS, static_cast<std::uint64_t>(program.limits.memory_mb) * 1'000'000);
  return start;
}

std::vector<pid_t> children() {
  std::vector<pid_t> found;
  std::error_code ignored;
  for (const auto& thread : fs::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream list(thread.path() / "children");
    for (pid_t pid = 0; list >> pid;) found.push_back(pid);
  }
  return found;
}

/// Ends what the program left behind outside its group: it is this process's child by now.
void end_orphans() {
  while (true) {
    const pid_t reaped = ::waitpid(-1, nullptr, WNOHANG);
    if (reaped > 0 || (reaped < 0 && errno == EINTR)) continue;
    if (reaped < 0) return;  // no children
    for (const pid_t pid : children()) ::kill(pid, SIGKILL);
    ::waitpid(-1, nullptr, 0);
  }
}

/// What a program prints to. Each has its own: what one does to its output (O_NONBLOCK) is nothing to the
/// next.
struct OutputPipe {
  Descriptor reading;
  Descriptor writing;

  /// Nothing: errno says why.
  static std::optional<OutputPipe> make() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return OutputPipe{Descriptor(ends[0]), Descriptor(ends[1])};
  }
};

/// The last of what a program printed, and how much it was.
class Output {
 public:
  explicit Output(const Program& program) : program_(program) {}

  /// False when there is no more.
  bool read(int fd) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (got == 0) return false;
    const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
    const auto allowed = static_cast<std::uint64_t>(program_.limits.log_bytes);
    if (n_bytes_ < allowed && program_.on_output) program_.on_output(text.substr(0, allowed - n_bytes_));
    n_bytes_ += text.size();
    tail_ += text;
    if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
    return true;
  }
  [[nodiscard]] bool is_too_much() const {
    return n_bytes_ > static_cast<std::uint64_t>(program_.limits.log_bytes);
  }

  /// "; it printed last:\n…", or nothing.
  [[nodiscard]] std::string last_words() const {
    std::string text = tail_;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::size_t from = text.size();
    for (std::size_t line = 0; line < kTailLines && from != std::string::npos && from > 0; ++line)
      from = text.rfind('\n', from - 1);
    if (from != std::string::npos && from > 0) text.erase(0, from + 1);
    return text.empty() ? "" : "; it printed last:\n" + io::harmless(text);
  }

 private:
  const Program& program_;
  std::uint64_t n_bytes_ = 0;
  std::string tail_;
};

/// Watches a started program until it ends or breaks a limit.
class Watch {
 public:
  /// It keeps the pipe's writing end, so that the end of a program is one event and not two; where its end is
  /// none (no descriptor is left for it), the pipe's has to do.
  Watch(const Program& program, pid_t pid, OutputPipe pipe)
      : program_(program),
        pid_(pid),
        pipe_(std::move(pipe)),
        output_(program),
        process_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
    if (process_.get() < 0) pipe_.writing.reset();
  }

  [[nodiscard]] Result<double> run() {
    const auto start = Steady::now();
    const auto deadline = start + std::chrono::seconds(program_.limits.time_s);
    std::string broken;
    ErrorCode code = ErrorCode::kInvalid;
    auto next_look = start + kLook;
    while (broken.empty()) {
      if (wait()) break;
      const auto now = Steady::now();
      if (now > deadline) {
        code = ErrorCode::kTimedOut;
        broken = fmt::format("ran for longer than {}, its limit (limits: time)",
                             human_duration(static_cast<double>(program_.limits.time_s)));
      } else if (output_.is_too_much()) {
        broken = fmt::format("printed more than {}, its limit (limits: log)",
                             human_bytes(static_cast<std::uint64_t>(program_.limits.log_bytes)));
      } else if (now > next_look) {
        next_look = now + kLook;
        if (program_.on_look) program_.on_look();
        if (is_full()) broken = full_text();
      }
    }
    const int status = finish();
    const double seconds = std::chrono::duration<double>(Steady::now() - start).count();
    if (broken.empty() && is_full()) broken = full_text();
    if (broken.empty() && output_.is_too_much())
      broken = fmt::format("printed more than {}, its limit (limits: log)",
                           human_bytes(static_cast<std::uint64_t>(program_.limits.log_bytes)));
    if (broken.empty()) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return seconds;
      return failed(status);
    }
    return fail(code, "'{}' {}; it was ended{}", program_.argv.front(), broken, output_.last_words());
  }

 private:
  bool has_ended() {
    siginfo_t seen{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &seen, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           seen.si_pid == pid_;
  }

  /// For something to happen; whether that was its end.
  bool wait() {
    std::array<pollfd, 2> polled = {pollfd{process_.get(), POLLIN, 0},
                                    pollfd{out_open_ ? pipe_.reading.get() : -1, POLLIN, 0}};
    ::poll(polled.data(), polled.size(), static_cast<int>(kLook.count()));
    if ((polled[1].revents & (POLLIN | POLLHUP)) != 0) out_open_ = output_.read(pipe_.reading.get());
    return process_.get() < 0 ? has_ended() : (polled[0].revents & POLLIN) != 0;
  }

  /// Ends the group, takes what it has printed, reaps.
  int finish() {
    ::kill(-pid_, SIGKILL);  // before the reaping, while the group's number cannot belong to anybody else
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    end_orphans();
    while (out_open_ && !output_.is_too_much()) {
      pollfd polled{pipe_.reading.get(), POLLIN, 0};
      const int n_ready = ::poll(&polled, 1, 0);
      if (n_ready < 0 && errno == EINTR) continue;
      if (n_ready <= 0) break;
      out_open_ = output_.read(pipe_.reading.get());
    }
    return status;
  }

  [[nodiscard]] bool is_full() const {
    return !program_.folder.empty() &&
           bytes_below(program_.folder) > static_cast<std::uint64_t>(program_.limits.disk_mb) * 1'000'000;
  }
  [[nodiscard]] std::string full_text() const {
    return fmt::format("wrote more than {} MB into its folder, its limit (limits: disk)",
                       program_.limits.disk_mb);
  }

  [[nodiscard]] tl::unexpected<Error> failed(int status) const {
    const std::string& name = program_.argv.front();
    if (!WIFSIGNALED(status))
      return fail(ErrorCode::kInvalid, "'{}' ended with exit code {}{}", name, WEXITSTATUS(status),
                  output_.last_words());
    const int signal = WTERMSIG(status);
    if (signal == SIGXFSZ)
      return fail(ErrorCode::kInvalid, "'{}' {}{}", name, full_text(), output_.last_words());
    const char* text = ::sigabbrev_np(signal);
    const ErrorCode code = signal == SIGKILL ? ErrorCode::kOutOfMemory : ErrorCode::kInvalid;
    return fail(code, "'{}' was killed by signal {} (SIG{}){}{}", name, signal, text == nullptr ? "?" : text,
                signal == SIGKILL ? ", which is what the kernel sends when memory runs out" : "",
                output_.last_words());
  }

  const Program& program_;
  pid_t pid_;
  OutputPipe pipe_;
  bool out_open_ = true;
  Output output_;
  Descriptor process_;
};

}  // namespace

std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t n_bytes = 0;
  std::error_code error;
  auto at = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code gone;
    if (at->is_symlink(gone) || !at->is_regular_file(gone)) continue;
    const std::uintmax_t size = at->file_size(gone);
    if (!gone) n_bytes += size;
  }
  return n_bytes;
}

Result<double> run_program(const Program& program) {
  const std::optional<Variables> environment = environment_of(program);
  GAUNTLET_TRY(const std::string path, find_program(program, environment));
  const auto refuse = [&](int reason) -> tl::unexpected<Error> {
    Error error = system_error(reason, "start", path);
    if (reason == ENOENT || reason == EACCES || reason == ENOEXEC) error.code = ErrorCode::kInvalid;
    return fail(std::move(error));
  };
  std::optional<OutputPipe> pipe = OutputPipe::make();
  if (!pipe) return refuse(errno);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const auto pid = start_child(start_of(program, path, environment, pipe->writing.get()));
  if (!pid) return refuse(pid.error());
  return Watch(program, *pid, std::move(*pipe)).run();
}

}  // namespace gauntlet::external
