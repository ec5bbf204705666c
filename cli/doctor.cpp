// gauntlet doctor: whether this machine can run sweeps, and what helps where it cannot.
#include <algorithm>

#include "cli/support/machine_checks.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  bool json = false;
};

const char* name_of(CheckLevel level) {
  switch (level) {
    case CheckLevel::kOk:
      return "ok";
    case CheckLevel::kWarn:
      return "warn";
    case CheckLevel::kFail:
      return "fail";
  }
  return "fail";
}

std::size_t count_level(const std::vector<MachineCheck>& checks, CheckLevel level) {
  return static_cast<std::size_t>(std::count_if(
      checks.begin(), checks.end(), [&](const MachineCheck& check) { return check.level == level; }));
}

Json as_json(const std::vector<MachineCheck>& checks) {
  Json list = Json::array();
  for (const MachineCheck& check : checks) {
    list.push_back({{"name", check.name},
                    {"level", name_of(check.level)},
                    {"ok", check.level != CheckLevel::kFail},
                    {"detail", check.detail},
                    {"remedy", check.remedy},
                    {"facts", check.facts}});
  }
  return {{"format", 1},
          {"version", version()},
          {"ok", count_level(checks, CheckLevel::kFail) == 0},
          {"warnings", count_level(checks, CheckLevel::kWarn)},
          {"checks", std::move(list)}};
}

std::string as_text(const std::vector<MachineCheck>& checks) {
  std::string text;
  for (const MachineCheck& check : checks) {
    text += fmt::format("{:<5} {:<22} {}\n", name_of(check.level), check.name, check.detail);
    if (!check.remedy.empty()) text += fmt::format("{:<28} -> {}\n", "", check.remedy);
  }
  const std::size_t n_warnings = count_level(checks, CheckLevel::kWarn);
  const std::size_t n_failures = count_level(checks, CheckLevel::kFail);
  return text + fmt::format("{}, {}\n", count_of(n_failures, "failure"), count_of(n_warnings, "warning"));
}

Result<int> run(const Options& options) {
  const std::vector<MachineCheck> checks =
      check_machine(options.folder.workdir, options.folder.database_path());
  GAUNTLET_CHECK_OK(options.json ? print_json(as_json(checks)) : print(as_text(checks)));
  return count_level(checks, CheckLevel::kFail) == 0 ? 0 : 1;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb doctor_verb;
constinit const Verb doctor_verb{
    .name = "doctor",
    .summary =
        "Check this machine: disk, memory, ports, clock, GPUs, LibTorch; exit code 1 if sweeps cannot run",
    .examples =
        "  gauntlet doctor\n"
        "  gauntlet doctor --workdir /data/runs --database /local/gauntlet.db\n"
        "  gauntlet doctor --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
