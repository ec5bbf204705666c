// gauntlet retry: failed, lost and cancelled jobs start over.
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
  bool failed = false;
  bool lost = false;
  bool cancelled = false;
  bool json = false;
};

/// Both conditions, or the one that is there.
std::string both(const std::string& one, const std::string& other) {
  return one.empty() ? other : fmt::format("({}) and {}", one, other);
}

Result<int> run(Options& options) {
  if (options.selection.empty() && !options.failed && !options.lost && !options.cancelled) {
    return fail(ErrorCode::kInvalid,
                "'gauntlet retry' needs a sweep, --failed, --lost, --cancelled, --key or --where");
  }
  if (options.lost && options.cancelled) {
    return fail(ErrorCode::kInvalid,
                "a job is either lost or cancelled: --lost and --cancelled exclude each other");
  }
  if (options.lost) {
    options.failed = true;
    options.selection.where = both(options.selection.where, "cause=lost");
  }
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  GAUNTLET_TRY(proto::Selection selection, options.selection.resolve(client));
  if (options.failed || !options.cancelled) selection.add_states("failed");
  if (options.cancelled || !options.failed) selection.add_states("cancelled");
  *request.mutable_retry_request()->mutable_selection() = std::move(selection);
  GAUNTLET_TRY(const std::uint64_t n_jobs, request_change(client, std::move(request)));
  GAUNTLET_CHECK_OK(options.json ? print_json(Json{{"format", 1}, {"jobs", n_jobs}})
                                 : print(fmt::format("{} to run again\n", count_of(n_jobs, "job"))));
  if (n_jobs == 0) note("of what matches, nothing has failed or was cancelled\n");
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->selection.add_to(arguments);
  arguments.add_flag("--failed", options->failed, "Failed jobs only, whatever the cause");
  arguments.add_flag("--lost", options->lost, "Only jobs that failed since they lost their worker too often");
  arguments.add_flag("--cancelled", options->cancelled, "Cancelled jobs only");
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb retry_verb;
constinit const Verb retry_verb{
    .name = "retry",
    .summary = "Run failed, lost and cancelled jobs again",
    .examples =
        "  gauntlet retry quickstart\n"
        "  gauntlet retry --failed --where \"model=cpah\"\n"
        "  gauntlet retry --lost\n"
        "  gauntlet retry quickstart --where \"cause=oom and kind=train_defense\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
