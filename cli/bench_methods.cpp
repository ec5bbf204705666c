// gauntlet bench methods: rows per second of every target model, attack and defense.
#include <unistd.h>

#include "cli/support/bench_machine.hpp"
#include "cli/support/child_process.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kPatience{1'800'000};

struct Options {
  FolderOptions folder;
  bool quick = false;
  bool json = false;
};

/// The figures gauntlet-rank prints as its last line.
Result<Json> measure(const Options& options) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "gauntlet-rank";
  if (error || access(program.c_str(), X_OK) != 0) {
    return fail(ErrorCode::kNotFound, "{} is missing, and it does the measuring; ./dev build makes it",
                program.string());
  }
  const auto log = std::filesystem::temp_directory_path() / fmt::format("gauntlet-bench-{}", getpid());
  std::vector<std::string> command = {program.string(), "--bench-methods"};
  if (options.quick) command.emplace_back("--quick");
  GAUNTLET_TRY(ChildProcess child, ChildProcess::start({command, log, true}));
  child.wait_or_kill(kPatience);
  const std::string said = read_file(log).value_or("");
  std::filesystem::remove(log, error);
  if (child.exit_code() != 0) return fail(ErrorCode::kInternal, "gauntlet-rank failed: {}", said);
  const std::size_t begin = said.rfind("\n{");
  const Json figures =
      Json::parse(begin == std::string::npos ? said : said.substr(begin + 1), nullptr, false);
  if (!figures.is_object()) return fail(ErrorCode::kInternal, "gauntlet-rank printed no figures: {}", said);
  return figures;
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const Json figures, measure(options));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(Json{{"format", 1},
                                      {"bench", "methods"},
                                      {"machine", bench_machine(options.folder.workdir)},
                                      {"figures", figures}}));
    return 0;
  }
  std::string text;
  for (const auto& [name, value] : figures.items()) {
    if (name.ends_with("_ratio")) continue;
    const auto ratio =
        figures.find(name.substr(0, name.size() - std::string_view("_per_s").size()) + "_ratio");
    text += fmt::format(
        "{:<44} {:>10.1f}{}\n", name, value.get<double>(),
        ratio == figures.end() ? "" : fmt::format("   {:.2f} x the plain loop", ratio->get<double>()));
  }
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(app);
  app.add_flag("--quick", options->quick, "A fifth of the time per figure");
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_methods_verb;
constinit const Verb bench_methods_verb{
    .name = "bench methods",
    .summary = "Measure every target model, attack and defense on one thread",
    .examples = "  gauntlet bench methods\n  gauntlet bench methods --quick --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
