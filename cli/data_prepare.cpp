// gauntlet data prepare: a dataset's sources become a prepared folder.
#include <thread>

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/data/dataset.hpp"
#include "core/data/inspect.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string name;
  std::string out;
  std::string source;
  std::vector<std::string> set;
  int threads = 0;
  bool json = false;
};

/// "field=value" pairs as an object; values are read as JSON where they are, else as text.
Result<Json> assignments(const std::vector<std::string>& pairs) {
  Json options = Json::object();
  for (const std::string& pair : pairs) {
    const std::size_t at = pair.find('=');
    if (at == std::string::npos || at == 0) {
      return fail(ErrorCode::kInvalid, "--set {}: expected FIELD=VALUE", pair);
    }
    const std::string value = pair.substr(at + 1);
    const Json parsed = Json::parse(value, nullptr, false);
    options[pair.substr(0, at)] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return options;
}

Status check_target(const std::filesystem::path& out) {
  std::error_code error;
  if (std::filesystem::exists(out, error) && !std::filesystem::is_empty(out, error)) {
    return fail(ErrorCode::kInvalid, "{} exists and is not an empty folder; choose another --out",
                out.string());
  }
  return make_directories(out);
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const data::DatasetEntry* entry, data::dataset_registry().find(options.name));
  GAUNTLET_TRY(Json chosen, assignments(options.set));
  if (!options.source.empty()) chosen["source"] = options.source;
  GAUNTLET_TRY(const Json config, complete_config(entry->about.fields(), chosen, options.name));
  GAUNTLET_CHECK_OK(check_target(options.out));
  const int n_threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const bool animate = can_animate();
  GAUNTLET_CHECK_OK(
      entry->prepare(config, options.out, n_threads, [&](double fraction, std::string_view phase) {
        if (animate) note(fmt::format("\r\x1b[K{:3.0f} %  {}", fraction * 100, phase));
      }));
  if (animate) note("\r\x1b[K");
  GAUNTLET_TRY(const Json facts, data::inspect(options.out));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(facts));
  } else {
    GAUNTLET_CHECK_OK(print(fmt::format("prepared {} in {}\n", options.name, options.out)));
  }
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("name", options->name, "Dataset")->required();
  app.add_option("--out", options->out, "Folder to fill; new or empty")->required()->type_name("DIR");
  app.add_option("--source", options->source, "Where the sources are, for datasets that read files of yours")
      ->type_name("FILE|DIR");
  app.add_option("--set", options->set,
                 "A field of the dataset, as in --set preset=quick (gauntlet catalog NAME lists them)")
      ->type_name("FIELD=VALUE");
  app.add_option("--threads", options->threads, "Threads (default: all processors)")
      ->check(number_between(1, 1024));
  add_json(app, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb data_prepare_verb;
constinit const Verb data_prepare_verb{
    .name = "data prepare",
    .summary = "Turn a dataset's sources into a prepared folder",
    .examples =
        "  gauntlet data prepare picto_scenes --set preset=quick --set image_px=48 --out prepared/scenes\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
