// gauntlet page: where the coordinator's page is, with the token that opens it.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/client/client.hpp"
#include "core/base/files.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
};

Result<int> run(const Options& options) {
  const std::filesystem::path workdir = options.folder.workdir;
  GAUNTLET_TRY(const client::Endpoint endpoint, client::find_coordinator(workdir));
  GAUNTLET_TRY(const std::string text, read_file(workdir / "coordinator.json", 4096));
  GAUNTLET_TRY(const Json address, parse_json(text, (workdir / "coordinator.json").string()));
  if (!address.contains("http") || !address["http"].is_string()) {
    return fail(ErrorCode::kUnreachable,
                "the coordinator of {} serves no page; start it with --http PORT (0: any free one)",
                workdir.string());
  }
  GAUNTLET_CHECK_OK(
      print(fmt::format("http://{}/?token={}\n", address["http"].get<std::string>(), endpoint.token)));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(app);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb page_verb;
constinit const Verb page_verb{
    .name = "page",
    .summary = "Print the address of the coordinator's page, with the token that opens it",
    .examples =
        "  gauntlet coordinator --http 9100 &\n"
        "  gauntlet page\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
