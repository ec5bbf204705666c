// gauntlet data verify: a prepared folder against what its dataset.json says and what is published of it.
#include <algorithm>

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
  GAUNTLET_TRY(const Json report, data::verify(options.folder));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(report));
  } else {
    std::string text;
    for (const Json& check : report["checks"]) {
      text += fmt::format("{:<8} {:<28} {}\n", check["ok"] == true ? "ok" : "FAILED",
                          check["name"].get<std::string>(), check["detail"].get<std::string>());
    }
    GAUNTLET_CHECK_OK(print(text));
  }
  if (report["ok"] != true) {
    const auto failed =
        std::ranges::count_if(report["checks"], [](const Json& check) { return check["ok"] != true; });
    return fail(ErrorCode::kCorrupt,
                "{}: {} of {} checks failed, against what its dataset.json says or what is published of it",
                options.folder, failed, report["checks"].size());
  }
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("folder", options->folder, "Prepared folder").required().type_name("DIR");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_verify_verb;
constinit const Verb data_verify_verb{
    .name = "data verify",
    .summary = "Check a prepared folder: hashes, counts, values",
    .examples = "  gauntlet data verify prepared/picto\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
