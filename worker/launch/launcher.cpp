#include "worker/launch/launcher.hpp"

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace gauntlet::worker {

#define GAUNTLET_LAUNCHER(stem) extern const Launcher stem##_launcher;
#include "worker/launch/launchers.def"
#undef GAUNTLET_LAUNCHER

namespace {

const Launcher* const kLaunchers[] = {
#define GAUNTLET_LAUNCHER(stem) &stem##_launcher,
#include "worker/launch/launchers.def"
#undef GAUNTLET_LAUNCHER
};

}  // namespace

std::size_t GangLayout::world() const {
  std::size_t n_ranks = 0;
  for (const GangNode& node : nodes) n_ranks += node.ranks;
  return n_ranks;
}

const Launcher* find_launcher(std::string_view name) {
  for (const Launcher* const launcher : kLaunchers) {
    if (launcher->name == name) return launcher;
  }
  return nullptr;
}

std::vector<std::string> launcher_names() {
  std::vector<std::string> names;
  for (const Launcher* const launcher : kLaunchers) names.emplace_back(launcher->name);
  return names;
}

Result<std::filesystem::path> launcher_program(const std::filesystem::path& chosen, std::string_view name) {
  if (chosen.has_parent_path()) {
    if (::access(chosen.c_str(), X_OK) == 0) return std::filesystem::absolute(chosen);
    return fail(ErrorCode::kNotFound, "{} is no program", chosen.string());
  }
  const std::string wanted = chosen.empty() ? std::string(name) : chosen.string();
  const char* const path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::filesystem::path candidate = std::filesystem::path(rest.substr(0, colon)) / wanted;
    if (candidate.is_absolute() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  }
  return fail(ErrorCode::kNotFound, "there is no {} in PATH", wanted);
}

Result<int> number_from_environment(const char* variable, std::string_view launcher) {
  const char* const text = std::getenv(variable);
  int number = 0;
  if (text != nullptr) {
    const char* const end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, number);
    if (error == std::errc{} && stop == end && stop != text) return number;
  }
  return fail(ErrorCode::kInvalid, "{} is '{}': this process was not started by {}", variable,
              text == nullptr ? "" : text, launcher);
}

}  // namespace gauntlet::worker
