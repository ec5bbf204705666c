// gauntlet explain: why a job is in the state it is in.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/proto/json.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string key;
  ConnectOptions connect;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  request.mutable_explain_request()->set_key_prefix(options.key);
  GAUNTLET_TRY(const proto::Frame answer, client.request(std::move(request)));
  if (!answer.has_explain_reply()) {
    return fail(ErrorCode::kInternal, "the coordinator answered with '{}'",
                proto::name_of(answer.body_case()));
  }
  const proto::ExplainReply& reply = answer.explain_reply();
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(proto::explain_json(reply)));
    return 0;
  }
  std::string text =
      fmt::format("{}  {}: {}\n", proto::key_hex(reply.key()).substr(0, 12), reply.title(), reply.state());
  for (const std::string& reason : reply.reasons()) text += fmt::format("  {}\n", reason);
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("key", options->key, "First digits of a job's key (at least 4)").required();
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb explain_verb;
constinit const Verb explain_verb{
    .name = "explain",
    .summary = "Why a job waits, is blocked or failed",
    .examples = "  gauntlet explain 3fa9c2\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
