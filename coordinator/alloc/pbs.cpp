// PBS (OpenPBS, PBS Professional): qsub, qstat, qselect, qdel. Written from their manuals and tested against
// programs that print what these print; it has not run on a real PBS.
#include <array>

#include "coordinator/alloc/batch_system.hpp"

namespace gauntlet::alloc {
namespace {

std::string head(const QueueSpec& spec, const ScriptSite& site) {
  std::string text =
      fmt::format("#!/bin/bash\n#PBS -N {}\n#PBS -j oe\n#PBS -o {}\n", site.name, site.log.string());
  if (!spec.partition.empty()) text += fmt::format("#PBS -q {}\n", spec.partition);
  std::string chunk = fmt::format("select={}", spec.nodes);
  if (spec.cpus > 0) chunk += fmt::format(":ncpus={}", spec.cpus);
  if (spec.gpus > 0) chunk += fmt::format(":ngpus={}", spec.gpus);
  if (spec.memory_mb > 0) chunk += fmt::format(":mem={}mb", spec.memory_mb);
  return text + fmt::format("#PBS -l {}\n#PBS -l place=scatter\n#PBS -l walltime={}\n#PBS -r n\n", chunk,
                            clock_text(spec.time_s, false));
}

/// pbsdsh runs a command once per chunk, hence per node, with an environment of its own.
std::string agents(const QueueSpec& spec, const ScriptSite& site) {
  std::string agent = agent_command(spec, site) + " --name \"$(hostname -s)\"";
  if (spec.cpus > 0) agent += fmt::format(" --cpus {}", spec.cpus);
  if (spec.memory_mb > 0) agent += fmt::format(" --memory-mb {}", spec.memory_mb);
  const std::string line = shell_quoted("lifetime=$0; exec " + agent);
  const std::string start =
      spec.nodes == 1 ? fmt::format("bash -c {}", line) : fmt::format("pbsdsh -- /bin/bash -c {}", line);
  return fmt::format(
      "set -u\n"
      "ends=$(($(date +%s) + {}))\n"
      "agents() {{\n"
      "  {} \"$((ends - $(date +%s) - {}))\"\n"
      "}}\n",
      spec.time_s, start, margin_s(spec));
}

std::string script(const QueueSpec& spec, const ScriptSite& site, std::string_view body) {
  return head(spec, site) + agents(spec, site) + (body.empty() ? "agents\n" : std::string(body));
}

Words submit(const QueueSpec& spec, const std::filesystem::path& path) {
  Words words{"qsub"};
  words.insert(words.end(), spec.extra.begin(), spec.extra.end());
  words.push_back(path.string());
  return words;
}

Words check(const QueueSpec& /*spec*/, const std::filesystem::path& /*path*/) { return {}; }

/// "123.server", on a line of its own.
Result<std::string> read_submitted(std::string_view out) {
  const std::string_view line = out.substr(0, out.find('\n'));
  const bool is_id = !line.empty() && line.front() >= '0' && line.front() <= '9' &&
                     line.find_first_of(" \t") == std::string_view::npos;
  if (is_id) return std::string(line);
  return fail(ErrorCode::kCorrupt, "qsub printed '{}', where the identifier of a job was expected", line);
}

/// Live jobs of the user by qselect, since nobody else finds one whose identifier is not known; ended ones by
/// their identifiers, from the history (-x). qstat complains of those it does not know and lists the others.
Words list(std::string_view user, std::span<const std::string> ids) {
  Words words{"sh", "-c",
              "live=$(qselect -u \"$0\") || exit 1\n"
              "[ -z \"$live$*\" ] && exit 0\n"
              "qstat -x -f $live \"$@\"\n"
              "code=$?; case $code in 35|153) exit 0;; esac; exit $code",
              std::string(user)};
  words.insert(words.end(), ids.begin(), ids.end());
  return words;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

void read_state(std::string_view letter, BatchJob& job) {
  constexpr std::string_view kPending = "QHTWS";  // S: suspended by the server, has no nodes
  constexpr std::string_view kRunning = "REBU";
  constexpr std::string_view kEnded = "FXCM";
  job.word = letter;
  const auto is_one_of = [&](std::string_view letters) {
    return letter.size() == 1 && letters.find(letter) != std::string_view::npos;
  };
  if (is_one_of(kPending)) job.state = BatchJobState::kPending;
  if (is_one_of(kRunning)) job.state = BatchJobState::kRunning;
  if (is_one_of(kEnded)) job.state = BatchJobState::kEnded;
}

/// Above 256: ended by signal; 271 is qdel's SIGTERM. Negative: the server, not the job.
void read_exit(std::string_view status, BatchJob& job) {
  job.reason = fmt::format("exit status {}", status);
  job.failed = !status.starts_with('-') && status != "271" && status != "265";
}

/// Attributes are "    name = value"; a longer value goes on after a tab, which none that is read here does.
Result<std::vector<BatchJob>> read_list(std::string_view out) {
  std::vector<BatchJob> jobs;
  bool any_text = false;
  while (!out.empty()) {
    const std::size_t end = std::min(out.find('\n'), out.size());
    const std::string_view line = out.substr(0, end);
    out.remove_prefix(std::min(end + 1, out.size()));
    any_text = any_text || !trimmed(line).empty();
    if (line.starts_with("Job Id:")) {
      const std::string id(trimmed(line.substr(7)));
      jobs.push_back({.id = id, .name = {}, .word = {}, .reason = {}});
      continue;
    }
    const std::size_t equals = line.find(" = ");
    if (jobs.empty() || equals == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 3));
    if (name == "Job_Name") jobs.back().name = value;
    if (name == "job_state") read_state(value, jobs.back());
    if (name == "Exit_status") read_exit(value, jobs.back());
    if (name == "comment" && jobs.back().reason.empty()) jobs.back().reason = value;
  }
  if (any_text && jobs.empty()) return fail(ErrorCode::kCorrupt, "qstat printed nothing that lists jobs");
  return jobs;
}

Words partitions() { return {"sh", "-c", "qstat -Q | awk 'NR > 2 {print $1}'"}; }

bool says_no_partition(std::string_view words) {
  return words.find("nknown queue") != std::string_view::npos;
}

}  // namespace

extern const BatchSystem pbs_batch;
constinit const BatchSystem pbs_batch{
    .name = "pbs",
    .title = "PBS",
    .script = &script,
    .submit = &submit,
    .check = &check,
    .read_submitted = &read_submitted,
    .list = &list,
    .read_list = &read_list,
    .canceller = "qdel",
    .partitions = &partitions,
    .says_no_partition = &says_no_partition,
};

}  // namespace gauntlet::alloc
