// gauntlet doctor: whether this machine can run sweeps, and what helps where it cannot.
#include <algorithm>

#include "cli/support/machine_checks.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/version.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  bool json = false;
};

Result<int> run(const Options& options) {
  const std::vector<MachineCheck> checks =
      check_machine(options.folder.workdir, options.folder.database_path());
  const bool healthy =
      std::all_of(checks.begin(), checks.end(), [](const MachineCheck& check) { return check.ok; });
  if (options.json) {
    Json list = Json::array();
    for (const MachineCheck& check : checks) {
      list.push_back(
          {{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}, {"facts", check.facts}});
    }
    GAUNTLET_CHECK_OK(
        print_json(Json{{"format", 1}, {"version", version()}, {"ok", healthy}, {"checks", list}}));
  } else {
    std::string text;
    for (const MachineCheck& check : checks) {
      text += fmt::format("{:<8} {:<22} {}\n", check.ok ? "ok" : "PROBLEM", check.name, check.detail);
    }
    GAUNTLET_CHECK_OK(print(text));
  }
  return healthy ? 0 : 1;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(app);
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb doctor_verb;
constinit const Verb doctor_verb{
    .name = "doctor",
    .summary = "Check this machine: disk, ports, gauntlet-rank, packages",
    .examples = "  gauntlet doctor\n  gauntlet doctor --workdir /data/runs --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
