// gauntlet bench methods: rows per second of every target model, attack and defense.
#include "cli/support/bench_rank.hpp"
#include "cli/support/bench_report.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  bool quick = false;
  bool json = false;
};

Result<int> run(const Options& options) {
  std::vector<std::string> arguments = {"--bench-methods"};
  if (options.quick) arguments.emplace_back("--quick");
  GAUNTLET_TRY(const Json figures, figures_of_rank(arguments));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(bench_document("methods", options.folder.workdir, figures)));
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

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_flag("--quick", options->quick, "A fifth of the time per figure");
  add_json(arguments, options->json);
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
