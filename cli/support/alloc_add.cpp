#include "cli/support/alloc_add.hpp"

#include <fmt/ranges.h>

#include <unistd.h>

#include "cli/support/allocation_options.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "coordinator/net/alloc_messages.hpp"
#include "coordinator/net/batch_commands.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string action;
  AllocationOptions allocation;
  std::string idle;
  std::string min_work;
  ConnectOptions connect;
  bool dry_run = false;
  bool json = false;
};

std::filesystem::path this_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error);
}

/// Prints the script, and whether the batch system would take it, where one is here.
Result<int> show_script(const Options& options, const alloc::QueueSpec& spec) {
  GAUNTLET_TRY(const alloc::BatchSystem* system, alloc::find_batch_system(spec.system));
  const std::filesystem::path workdir = std::filesystem::absolute(options.connect.workdir).lexically_normal();
  const alloc::ScriptSite site{.gauntlet = this_program(),
                               .workdir = workdir,
                               .log = workdir / "alloc" / "gauntlet-000000-1.log",
                               .name = "gauntlet-000000-1",
                               .label = "1"};
  const std::string script = system->script(spec, site, "");
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("gauntlet-alloc-{}.sh", ::getpid());
  const Status tried = coordinator::try_submission(spec, path, script);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  const bool absent = !tried && tried.error().code == ErrorCode::kNotFound;
  if (!tried && !absent) return fail(tried.error());
  const bool checked = tried && !system->check(spec, path).empty();
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json({{"format", 1},
                                  {"system", spec.system},
                                  {"script", script},
                                  {"command", system->submit(spec, "SCRIPT")},
                                  {"checked", checked}}));
    return 0;
  }
  GAUNTLET_CHECK_OK(print(script));
  note(fmt::format("gauntlet: handed in with: {}\n", fmt::join(system->submit(spec, "SCRIPT"), " ")));
  note(checked ? fmt::format("gauntlet: {} would take it\n", system->title)
               : fmt::format("gauntlet: whether {} would take it was not checked{}\n", system->title,
                             absent ? ": it is not here" : ", since it cannot tell"));
  return 0;
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(alloc::QueueSpec spec, options.allocation.read());
  GAUNTLET_TRY(spec.idle_s, seconds_of("--idle", options.idle, spec.idle_s));
  GAUNTLET_TRY(spec.min_work_s, seconds_of("--min-work", options.min_work, spec.min_work_s));
  GAUNTLET_CHECK_OK(alloc::check(spec));
  if (options.dry_run) return show_script(options, spec);
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  coordinator::add_spec(spec, *request.mutable_alloc_add_request()->mutable_spec());
  GAUNTLET_TRY(const proto::Frame answer, client.request(std::move(request), Milliseconds(90'000)));
  const proto::AllocAddReply& reply = answer.alloc_add_reply();
  for (const std::string& remark : reply.notes()) note(fmt::format("gauntlet: {}\n", remark));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json({{"format", 1}, {"queue", reply.queue_id()}}));
  } else {
    GAUNTLET_CHECK_OK(
        print(fmt::format("queue {}: up to {} of {} at a time\n", reply.queue_id(),
                          spec.max == 1 ? "1 allocation" : fmt::format("{} allocations", spec.max),
                          spec.nodes == 1 ? "1 node" : fmt::format("{} nodes", spec.nodes))));
  }
  return 0;
}

}  // namespace

Action declare_alloc_add(Arguments& arguments, std::string_view system) {
  const auto options = std::make_shared<Options>();
  options->allocation.spec.system = system;
  arguments.add_option("action", options->action, "add").required().one_of({"add"});
  options->allocation.add_to(arguments);
  arguments
      .add_option("--cpus", options->allocation.spec.cpus,
                  "Processors per node (default: what the site gives)")
      .number_between(1, 4096);
  arguments
      .add_option("--max", options->allocation.spec.max,
                  "Allocations at a time, waiting ones included (default: 1)")
      .number_between(1, 10'000);
  arguments
      .add_option("--idle", options->idle,
                  "Give an allocation back after so long without a job (default: 5m)")
      .type_name("TIME");
  arguments
      .add_option(
          "--min-work", options->min_work,
          "Ask for another place to run jobs only if so much work waits for it, where job times are known "
          "(default: 1m)")
      .type_name("TIME");
  arguments.add_flag(
      "--dry-run", options->dry_run,
      "Print the script and ask the batch system, if it is here, whether it would take it; nothing is "
      "handed in");
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace gauntlet::cli
