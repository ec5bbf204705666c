// Slurm: sbatch, squeue, scancel, sinfo. Written for 19.05 and later, run against 22.05.
#include <array>
#include <charconv>

#include "coordinator/alloc/batch_system.hpp"

namespace gauntlet::alloc {
namespace {

/// sbatch replaces %… in file names.
std::string log_pattern(const std::filesystem::path& log) {
  std::string pattern;
  for (const char c : log.string()) pattern += c == '%' ? std::string("%%") : std::string(1, c);
  return pattern;
}

std::string head(const QueueSpec& spec, const ScriptSite& site) {
  std::string text = fmt::format("#!/bin/bash\n#SBATCH --job-name={}\n#SBATCH --output=\"{}\"\n", site.name,
                                 log_pattern(site.log));
  if (!spec.partition.empty()) text += fmt::format("#SBATCH --partition=\"{}\"\n", spec.partition);
  text += fmt::format("#SBATCH --time={}\n#SBATCH --nodes={}\n#SBATCH --ntasks-per-node=1\n",
                      clock_text(spec.time_s, true), spec.nodes);
  if (spec.cpus > 0) text += fmt::format("#SBATCH --cpus-per-task={}\n", spec.cpus);
  if (spec.gpus > 0) text += fmt::format("#SBATCH --gres=gpu:{}\n", spec.gpus);
  if (spec.memory_mb > 0) text += fmt::format("#SBATCH --mem={}M\n", spec.memory_mb);
  return text + "#SBATCH --no-requeue\n#SBATCH --no-kill\n";
}

/// One agent per node, each with all of its node's share; one that ends early leaves the others alone.
std::string agents(const QueueSpec& spec, const ScriptSite& site) {
  const std::string gres = spec.gpus > 0 ? fmt::format(" --gres=gpu:{}", spec.gpus) : std::string();
  const std::string agent = agent_command(spec, site) +
                            " --name \"$SLURMD_NODENAME\" --cpus \"$SLURM_CPUS_ON_NODE\""
                            " ${SLURM_MEM_PER_NODE:+--memory-mb \"$SLURM_MEM_PER_NODE\"}";
  return fmt::format(
      "set -u\n"
      "ends=${{SLURM_JOB_END_TIME:-$(($(date +%s) + {}))}}\n"
      "agents() {{\n"
      "  export lifetime=$((ends - $(date +%s) - {}))\n"
      "  srun --nodes=\"$SLURM_JOB_NUM_NODES\" --ntasks-per-node=1 --cpus-per-task=\"{}\"{} --no-kill "
      "--wait=0 \\\n"
      "    --kill-on-bad-exit=0 bash -c {}\n"
      "}}\n",
      spec.time_s, margin_s(spec), spec.cpus > 0 ? fmt::format("{}", spec.cpus) : "${SLURM_CPUS_ON_NODE:-1}",
      gres, shell_quoted("exec " + agent));
}

std::string script(const QueueSpec& spec, const ScriptSite& site, std::string_view body) {
  return head(spec, site) + agents(spec, site) + (body.empty() ? "agents\n" : std::string(body));
}

Words submit(const QueueSpec& spec, const std::filesystem::path& path) {
  Words words{"sbatch", "--parsable"};
  words.insert(words.end(), spec.extra.begin(), spec.extra.end());
  words.push_back(path.string());
  return words;
}

Words check(const QueueSpec& spec, const std::filesystem::path& path) {
  Words words = submit(spec, path);
  words[1] = "--test-only";
  return words;
}

/// "123" or "123;cluster".
Result<std::string> read_submitted(std::string_view out) {
  const std::string_view line = out.substr(0, out.find('\n'));
  const std::string_view id = line.substr(0, line.find(';'));
  if (!id.empty() && id.find_first_not_of("0123456789") == std::string_view::npos) return std::string(id);
  return fail(ErrorCode::kCorrupt, "sbatch printed '{}', where the number of a job was expected", line);
}

/// Jobs that have ended are listed for MinJobAge, 300 s unless a site changed it.
Words list(std::string_view user, std::span<const std::string> /*ids*/) {
  return {"squeue", "--noheader", "--states=all", fmt::format("--user={}", user), "--format=%i|%T|%j|%r"};
}

struct StateWord {
  std::string_view word;
  BatchJobState state;
  bool failed;
};

constexpr std::array kWords = {
    StateWord{"PENDING", BatchJobState::kPending, false},
    StateWord{"REQUEUED", BatchJobState::kPending, false},
    StateWord{"REQUEUE_HOLD", BatchJobState::kPending, false},
    StateWord{"CONFIGURING", BatchJobState::kPending, false},
    StateWord{"RUNNING", BatchJobState::kRunning, false},
    StateWord{"COMPLETING", BatchJobState::kRunning, false},
    StateWord{"SUSPENDED", BatchJobState::kRunning, false},
    StateWord{"STOPPED", BatchJobState::kRunning, false},
    StateWord{"RESIZING", BatchJobState::kRunning, false},
    StateWord{"SIGNALING", BatchJobState::kRunning, false},
    StateWord{"STAGE_OUT", BatchJobState::kRunning, false},
    StateWord{"COMPLETED", BatchJobState::kEnded, true},  // of its own accord: a fault if no agent ever came
    StateWord{"FAILED", BatchJobState::kEnded, true},
    StateWord{"TIMEOUT", BatchJobState::kEnded, true},
    StateWord{"DEADLINE", BatchJobState::kEnded, true},
    StateWord{"OUT_OF_MEMORY", BatchJobState::kEnded, true},
    StateWord{"BOOT_FAIL", BatchJobState::kEnded, true},
    StateWord{"LAUNCH_FAILED", BatchJobState::kEnded, true},
    StateWord{"CANCELLED", BatchJobState::kEnded, false},
    StateWord{"REVOKED", BatchJobState::kEnded, false},
    StateWord{"PREEMPTED", BatchJobState::kEnded, false},
    StateWord{"NODE_FAIL", BatchJobState::kEnded, false},
};

/// "id|STATE|name|reason"; our names have no bar, others' are of no interest.
bool read_line(std::string_view line, BatchJob& job) {
  std::array<std::string_view, 3> parts;
  for (std::string_view& part : parts) {
    const std::size_t bar = line.find('|');
    if (bar == std::string_view::npos) return false;
    part = line.substr(0, bar);
    line.remove_prefix(bar + 1);
  }
  job.id = parts[0];
  job.word = parts[1];
  job.name = parts[2];
  job.reason = line == "None" ? "" : line;
  for (const StateWord& known : kWords) {
    if (known.word != parts[1]) continue;
    job.state = known.state;
    job.failed = known.failed;
  }
  return true;
}

Result<std::vector<BatchJob>> read_list(std::string_view out) {
  std::vector<BatchJob> jobs;
  std::size_t n_lines = 0;
  while (!out.empty()) {
    const std::size_t end = std::min(out.find('\n'), out.size());
    const std::string_view line = out.substr(0, end);
    out.remove_prefix(std::min(end + 1, out.size()));
    if (line.empty()) continue;
    ++n_lines;
    BatchJob job;
    if (read_line(line, job)) jobs.push_back(std::move(job));
  }
  if (n_lines > 0 && jobs.empty()) return fail(ErrorCode::kCorrupt, "squeue printed nothing that lists jobs");
  return jobs;
}

Words partitions() { return {"sinfo", "--noheader", "--format=%R"}; }

bool says_no_partition(std::string_view words) {
  return words.find("nvalid partition") != std::string_view::npos;
}

}  // namespace

extern const BatchSystem slurm_batch;
constinit const BatchSystem slurm_batch{
    .name = "slurm",
    .title = "Slurm",
    .script = &script,
    .submit = &submit,
    .check = &check,
    .read_submitted = &read_submitted,
    .list = &list,
    .read_list = &read_list,
    .canceller = "scancel",
    .partitions = &partitions,
    .says_no_partition = &says_no_partition,
};

}  // namespace gauntlet::alloc
