#include "coordinator/alloc/batch_system.hpp"

#include <algorithm>
#include <array>

#include "core/base/text.hpp"

namespace gauntlet::alloc {

#define GAUNTLET_BATCH(stem) extern const BatchSystem stem##_batch;
#include "coordinator/alloc/batch_systems.def"
#undef GAUNTLET_BATCH

namespace {

constexpr std::array kSystems = {
#define GAUNTLET_BATCH(stem) &stem##_batch,
#include "coordinator/alloc/batch_systems.def"
#undef GAUNTLET_BATCH
};

/// Below Slurm's KillWait, 30 s unless a site changed it. An agent that is killed while it drains loses
/// nothing more than its attempts, which go back free of charge.
constexpr int kDrainGraceS = 20;
/// A coordinator that restarts, on another node perhaps, is waited for.
constexpr int kWithoutCoordinatorS = 600;

bool asks_for_gpus(const QueueSpec& spec) {
  return spec.gpus > 0 || std::any_of(spec.extra.begin(), spec.extra.end(), [](const std::string& word) {
           return word.find("gpu") != std::string::npos || word.find("exclusive") != std::string::npos;
         });
}

}  // namespace

std::span<const BatchSystem* const> batch_systems() { return kSystems; }

Result<const BatchSystem*> find_batch_system(std::string_view name) {
  std::vector<std::string> known;
  for (const BatchSystem* system : kSystems) {
    if (system->name == name) return system;
    known.emplace_back(system->name);
  }
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("batch system", name, known));
}

Words cancel_command(const BatchSystem& system, std::span<const std::string> ids) {
  Words words{std::string(system.canceller)};
  words.insert(words.end(), ids.begin(), ids.end());
  return words;
}

std::string shell_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string clock_text(std::int64_t seconds, bool with_days) {
  const std::int64_t hours = seconds / 3600;
  const std::string rest = fmt::format("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
  if (!with_days || hours < 24) return fmt::format("{:02}:{}", hours, rest);
  return fmt::format("{}-{:02}:{}", hours / 24, hours % 24, rest);
}

std::int64_t margin_s(const QueueSpec& spec) { return std::clamp<std::int64_t>(spec.time_s / 20, 5, 60); }

std::string agent_command(const QueueSpec& spec, const ScriptSite& site) {
  std::string words = fmt::format(
      "{} worker --workdir {} --lifetime \"${{lifetime}}s\" --drain-grace {} --exit-without-coordinator {}",
      shell_quoted(site.gauntlet.string()), shell_quoted(site.workdir.string()), kDrainGraceS,
      kWithoutCoordinatorS);
  if (!site.label.empty()) words += fmt::format(" --label alloc={}", site.label);
  if (!asks_for_gpus(spec)) words += " --no-gpus";
  return words;
}

}  // namespace gauntlet::alloc
