// gauntlet cancel: ends jobs that are not done.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/selection.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  SelectionOptions selection;
  ConnectOptions connect;
  std::string reason;
  bool json = false;
};

Result<int> run(const Options& options) {
  if (options.selection.empty()) {
    return fail(ErrorCode::kInvalid,
                "'gauntlet cancel' needs a sweep, --key or --where: it never cancels everything");
  }
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  GAUNTLET_TRY(*request.mutable_cancel_request()->mutable_selection(), options.selection.resolve(client));
  request.mutable_cancel_request()->set_reason(options.reason);
  GAUNTLET_TRY(const std::uint64_t n_jobs, request_change(client, std::move(request)));
  GAUNTLET_CHECK_OK(options.json ? print_json(Json{{"format", 1}, {"jobs", n_jobs}})
                                 : print(fmt::format("cancelled {}\n", count_of(n_jobs, "job"))));
  if (n_jobs == 0) note("of what matches, everything is over already, or another sweep wants it too\n");
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->selection.add_to(arguments);
  arguments.add_option("--reason", options->reason, "Kept with the jobs: `status` and `explain` show it");
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb cancel_verb;
constinit const Verb cancel_verb{
    .name = "cancel",
    .summary = "End jobs of a sweep that are not done",
    .examples =
        "  gauntlet cancel quickstart --reason \"wrong epsilon\"\n"
        "  gauntlet cancel quickstart --where \"attack=pgd\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
