// gauntlet worker: this machine's agent.
#include "cli/support/logging.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/spec/job_spec.hpp"
#include "worker/agent/agent.hpp"
#include "worker/agent/visible_gpus.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  ConnectOptions connect;
  worker::AgentOptions agent;
  double exit_without_coordinator_s = 0;
  std::vector<std::string> labels;  ///< "key=value"
  std::string lifetime;
  bool without_gpus = false;
  LogOptions log;
};

/// "disk=ssd" of each. Errors (kInvalid) show the text.
Result<std::map<std::string, std::string>> read_labels(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> labels;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (!spec::is_label_word(name) || !spec::is_label_word(value)) {
      return fail(ErrorCode::kInvalid,
                  "--label: '{}' is no label; write name=value, each 1 to 64 letters, digits or ._-/", text);
    }
    if (!labels.emplace(name, value).second)
      return fail(ErrorCode::kInvalid, "--label: '{}' is given twice", name);
  }
  if (labels.size() <= spec::kMaxLabels) return labels;
  return fail(ErrorCode::kInvalid, "--label: {} labels; at most {} are allowed", labels.size(),
              spec::kMaxLabels);
}

Result<int> run(Options& options) {
  GAUNTLET_CHECK_OK(start_logging(options.log, "worker"));
  GAUNTLET_CHECK_OK(make_directories(options.connect.workdir));
  options.agent.workdir = options.connect.workdir;
  GAUNTLET_TRY(options.agent.trust, options.connect.trust());
  GAUNTLET_TRY(options.agent.labels, read_labels(options.labels));
  if (!options.lifetime.empty()) {
    Result<std::int64_t> lifetime_s = spec::duration_s_from(options.lifetime);
    if (!lifetime_s) return fail(ErrorCode::kInvalid, "--lifetime: {}", lifetime_s.error().message);
    options.agent.lifetime_s = *lifetime_s;
  }
  if (!options.without_gpus) {
    Result<std::vector<worker::AgentGpu>> gpus = worker::usable_gpus();
    if (!gpus) return fail(gpus.error().code, "{}; with --no-gpus none is offered", gpus.error().message);
    options.agent.gpus = std::move(*gpus);
  }
  options.agent.numa_nodes = worker::numa_nodes();
  if (!options.connect.address.empty()) {
    GAUNTLET_TRY(const client::Endpoint endpoint, client::parse_endpoint(options.connect.address, ""));
    options.agent.host = endpoint.host;
    options.agent.port = endpoint.port;
  }
  if (options.exit_without_coordinator_s > 0) {
    options.agent.exit_with_coordinator_s = options.exit_without_coordinator_s;
  }
  return worker::run_agent(options.agent);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->connect.add_to(arguments);
  arguments.add_option("--name", options->agent.name, "What to call this worker (default: host name)");
  arguments.add_option("--cpus", options->agent.cpus, "Threads to offer (default: all processors)")
      .number_between(1, 4096);
  arguments.add_option("--memory-mb", options->agent.memory_mb, "Memory to offer (default: all of it)")
      .number_between(0.001, 1e9);
  arguments
      .add_option(
          "--checkpoint-minutes", options->agent.checkpoint_minutes,
          "Minutes between two checkpoints of a training, from which another attempt goes on; 0: after "
          "every epoch (default: 5)")
      .number_between(0, 1e6);
  arguments
      .add_option("--label", options->labels,
                  "What jobs may ask for in their resources' labels; may be repeated")
      .type_name("NAME=VALUE");
  arguments
      .add_option(
          "--lifetime", options->lifetime,
          "Leave after so long (4h, 1h30m), and take no job whose time limit is longer than what is left "
          "(default: stay)")
      .type_name("TIME");
  arguments
      .add_option(
          "--launcher", options->agent.launcher,
          "What starts the ranks of a gang: direct (this worker, on this machine only), mpirun (Open "
          "MPI), srun (inside a Slurm allocation); with the last two a gang may go over several workers "
          "(default: direct)")
      .one_of(worker::launcher_names());
  arguments.add_option("--launcher-program", options->agent.launcher_settings.program,
                       "Another mpirun or srun than the one in PATH");
  arguments
      .add_option(
          "--launcher-option", options->agent.launcher_settings.arguments,
          "One more word for mpirun or srun, such as --launcher-option=--oversubscribe; may be repeated")
      .shown_as_one()
      .type_name("WORD");
  arguments.add_option("--address", options->agent.address,
                       "How other machines of a gang reach this one (default: its host name)");
  arguments.add_flag(
      "--no-gpus", options->without_gpus,
      "Offer none of this machine's GPUs (default: those that CUDA_VISIBLE_DEVICES names, or all)");
  arguments
      .add_option("--exit-without-coordinator", options->exit_without_coordinator_s,
                  "Leave after so many seconds without a coordinator (default: never)")
      .number_between(0.001, 1e9);
  arguments
      .add_option("--log-limit-mb", options->agent.log_limit_mb,
                  "What the log of one attempt may occupy; of a longer one the middle goes (default 64)")
      .number_between(1, 1e6);
  arguments
      .add_option(
          "--artifact-cache-mb", options->agent.artifact_cache_mb,
          "MiB that artifacts may occupy here where the coordinator's work folder is another one; those "
          "used longest ago go first, and are fetched again (default 0: any number)")
      .number_between(0, 1e9);
  arguments
      .add_option("--drain-grace", options->agent.drain_grace_s,
                  "Seconds that attempts get to end by themselves after SIGTERM or Ctrl-C (default 30)")
      .number_between(0, 86400);
  options->log.add_to(arguments);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb worker_verb;
constinit const Verb worker_verb{
    .name = "worker",
    .summary = "Offer this machine to a coordinator",
    .examples =
        "  gauntlet worker --workdir /data/runs\n"
        "  gauntlet worker --workdir /data/runs --coordinator node1:7000 --cpus 16\n"
        "  gauntlet worker --workdir /data/runs --lifetime 4h --label disk=ssd\n"
        "  gauntlet worker --workdir /data/runs --launcher mpirun --address 10.0.0.1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
