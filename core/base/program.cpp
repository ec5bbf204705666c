#include "core/base/program.hpp"

#include <sys/auxv.h>

#include <string_view>

namespace gauntlet {
namespace {

namespace fs = std::filesystem;

/// What the kernel was asked to execute: this program, or a loader that was given it as an argument.
fs::path executed() {
  std::error_code unknown;
  const fs::path path = fs::read_symlink("/proc/self/exe", unknown);
  return unknown ? fs::path() : path;
}

bool is_loader(const fs::path& path) { return path.filename().string().starts_with("ld-linux"); }

/// The running executable itself. A loader that is a command sets AT_EXECFN to the program it was given.
fs::path running() {
  const fs::path path = executed();
  if (!is_loader(path)) return path;
  const auto* name = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  return name == nullptr ? fs::path() : fs::path(name);
}

/// The package's folder, if an executable of this path is one's; else empty.
fs::path package_of(const fs::path& executable) {
  const fs::path folder = executable.parent_path();
  if (folder.filename() != "gauntlet" || folder.parent_path().filename() != "libexec") return {};
  return folder.parent_path().parent_path();
}

}  // namespace

fs::path program_path() {
  const fs::path executable = running();
  const fs::path package = package_of(executable);
  std::error_code ignored;
  const fs::path starter = package / "bin" / executable.filename();
  return !package.empty() && fs::exists(starter, ignored) ? starter : executable;
}

fs::path executable_of(const fs::path& program) {
  const fs::path behind = program.parent_path().parent_path() / "libexec" / "gauntlet" / program.filename();
  std::error_code ignored;
  return fs::exists(behind, ignored) ? behind : program;
}

std::vector<std::string> loader_command() {
  const fs::path loader = executed();
  if (!is_loader(loader)) return {};
  return {loader.string(), "--library-path", loader.parent_path().string()};
}

fs::path installed_path(const fs::path& path) {
  constexpr std::string_view kShare = "/usr/share/";
  std::error_code ignored;
  if (!path.string().starts_with(kShare) || fs::exists(path, ignored)) return path;
  const fs::path package = package_of(running());
  const fs::path copy = package / "share" / path.string().substr(kShare.size());
  return !package.empty() && fs::exists(copy, ignored) ? copy : path;
}

}  // namespace gauntlet
