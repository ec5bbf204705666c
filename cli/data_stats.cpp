// gauntlet data stats: labels, words and the chance level of a prepared folder.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/data/inspect.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string folder;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const data::PreparedSet set, data::PreparedSet::open(options.folder));
  const Json stats = data::stats(set);
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(stats));
    return 0;
  }
  std::string text;
  for (const auto& [name, value] : stats.items()) {
    if (name == "format") continue;
    if (!value.is_object()) {
      text += fmt::format("{:<28} {}\n", name, value.dump());
      continue;
    }
    text += name + "\n";
    for (const auto& [key, inner] : value.items()) text += fmt::format("  {:<26} {}\n", key, inner.dump());
  }
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("folder", options->folder, "Prepared folder").required().type_name("DIR");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_stats_verb;
constinit const Verb data_stats_verb{
    .name = "data stats",
    .summary = "Labels, words and chance level of a prepared folder",
    .examples = "  gauntlet data stats prepared/picto --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
