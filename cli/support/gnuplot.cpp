#include "cli/support/gnuplot.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "core/base/files.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace gauntlet::cli {
namespace {

/// A file in memory; what a child writes into it needs no reader while the child runs.
class MemoryFile {
 public:
  static Result<MemoryFile> create(const char* name) {
    const int descriptor = ::memfd_create(name, MFD_CLOEXEC);
    if (descriptor < 0) return fail(system_error(errno, "create", name));
    return MemoryFile(descriptor);
  }
  MemoryFile(MemoryFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  MemoryFile& operator=(MemoryFile&&) = delete;
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int descriptor() const { return descriptor_; }

  Status write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::write(descriptor_, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error(errno, "write", "gnuplot's script"));
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::lseek(descriptor_, 0, SEEK_SET) < 0) return fail(system_error(errno, "rewind", "gnuplot's script"));
    return {};
  }

  [[nodiscard]] Result<std::string> read() const {
    if (::lseek(descriptor_, 0, SEEK_SET) < 0) return fail(system_error(errno, "rewind", "gnuplot's output"));
    std::string text;
    std::array<char, 1 << 16> buffer{};
    while (true) {
      const ssize_t n = ::read(descriptor_, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(system_error(errno, "read", "gnuplot's output"));
      if (n == 0) return text;
      text.append(buffer.data(), static_cast<std::size_t>(n));
    }
  }

 private:
  explicit MemoryFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

std::string program() {
  const char* named = std::getenv("GAUNTLET_GNUPLOT");
  return named != nullptr && *named != '\0' ? named : "gnuplot";
}

// What is asked of the world besides PATH: no display, no start-up file of the user's, no date in a PDF.
std::vector<std::string> environment() {
  std::vector<std::string> list;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const bool dropped = text.starts_with("DISPLAY=") || text.starts_with("GNUTERM=") ||
                         text.starts_with("SOURCE_DATE_EPOCH=") || text.starts_with("LC_ALL=");
    if (!dropped) list.emplace_back(text);
  }
  list.emplace_back("SOURCE_DATE_EPOCH=0");
  list.emplace_back("LC_ALL=C.UTF-8");
  return list;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

std::string first_complaint(const std::string& text) {
  std::string shown;
  for (const char letter : text) {
    if (letter != '\n') {
      shown += letter;
    } else if (!shown.empty() && shown.back() != ' ') {
      shown += ' ';
    }
  }
  return shown.substr(0, 300);
}

}  // namespace

Result<std::string> run_gnuplot(std::string_view script) {
  GAUNTLET_TRY(const MemoryFile in, MemoryFile::create("gauntlet-script"));
  GAUNTLET_TRY(const MemoryFile out, MemoryFile::create("gauntlet-picture"));
  GAUNTLET_TRY(const MemoryFile err, MemoryFile::create("gauntlet-complaints"));
  GAUNTLET_CHECK_OK(in.write(script));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.descriptor(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.descriptor(), STDERR_FILENO);
  std::vector<std::string> command = {program(), "-d", "-"};
  std::vector<std::string> variables = environment();
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, command.front().c_str(), &actions, nullptr,
                                    pointers(command).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == ENOENT) {
    return fail(ErrorCode::kNotFound,
                "'{}' is not installed, and pictures are drawn by gnuplot: apt-get install -y "
                "--no-install-recommends "
                "gnuplot-nox (--format pgf needs none)",
                command.front());
  }
  if (failed != 0) return fail(system_error(failed, "start", command.front()));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  GAUNTLET_TRY(std::string picture, out.read());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !picture.empty()) return picture;
  GAUNTLET_TRY(const std::string complaints, err.read());
  return fail(ErrorCode::kInternal, "gnuplot drew nothing: {}", first_complaint(complaints));
}

}  // namespace gauntlet::cli
