// gauntlet page: where the coordinator's page is, with the token that opens it.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/page_address.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const PageAddress page, find_page(options.folder.workdir));
  GAUNTLET_CHECK_OK(print(fmt::format("http://{}/?token={}\n", page.address, page.token)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
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
