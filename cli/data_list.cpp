// gauntlet data list: datasets, what each needs, whether it is there.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/data/inspect.hpp"

namespace gauntlet::cli {
namespace {

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Result<int> run(bool json) {
  const Json datasets = data::list_datasets();
  if (json) {
    GAUNTLET_CHECK_OK(print_json(Json{{"format", 1}, {"datasets", datasets}}));
    return 0;
  }
  std::string text;
  for (const Json& dataset : datasets) {
    text += fmt::format("{:<16} {:<12} {}\n", text_of(dataset["name"]),
                        dataset["available"] == true ? "available" : "missing", text_of(dataset["summary"]));
    const std::string detail = text_of(dataset.value("detail", Json("")));
    if (!detail.empty()) text += fmt::format("{:<16} {}\n", "", detail);
  }
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto json = std::make_shared<bool>(false);
  add_json(arguments, *json);
  return [json] { return run(*json); };
}

}  // namespace

extern const Verb data_list_verb;
constinit const Verb data_list_verb{
    .name = "data list",
    .summary = "Known datasets, what each needs, whether it is there",
    .examples = "  gauntlet data list\n  gauntlet data list --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
