#include "cli/support/status_text.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "cli/support/progress.hpp"
#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/proto/json.hpp"

namespace gauntlet::cli {
namespace {

using proto::key_hex;

std::string heard(const proto::WorkerStatus& worker) {
  return human_duration(static_cast<double>(worker.last_heard_ms_ago()) / 1000);
}

/// ", in quarantine: <why>", ", gpus 0, 3 in quarantine", or "".
std::string quarantine_of(const proto::WorkerStatus& worker) {
  std::string text;
  if (!worker.quarantine().empty()) text = ", in quarantine: " + worker.quarantine();
  if (worker.quarantined_gpus().empty()) return text;
  return text + fmt::format(", gpus {} in quarantine", fmt::join(worker.quarantined_gpus(), ", "));
}

/// The first jobs under a heading, each in a line, and the query that shows all where there are more.
template <class Jobs, class LineOf>
std::string listed(std::string_view heading, std::string_view query, const Jobs& jobs, LineOf line_of) {
  constexpr int kMost = 20;
  if (jobs.empty()) return "";
  std::string text = fmt::format("\n{}\n", heading);
  for (int at = 0; at < std::min(kMost, jobs.size()); ++at)
    text += fmt::format("  {}  {}\n", key_hex(jobs[at].key()).substr(0, 12), line_of(jobs[at]));
  if (jobs.size() > kMost) text += fmt::format("  and more: gauntlet query \"{}\"\n", query);
  return text;
}

}  // namespace

std::string status_text(const proto::StatusReply& status) {
  std::string text;
  for (const proto::SweepStatus& sweep : status.sweeps()) {
    text += fmt::format("sweep {}  {}\n", sweep.sweep_id(), summary_of(sweep));
  }
  if (status.sweeps().empty()) text += "no sweeps\n";
  text += listed("running", "SELECT * FROM v_attempts WHERE outcome = 'running'", status.running(),
                 [](const proto::RunningJob& job) { return line_of(job) + "  on " + job.worker(); });
  text += listed("failed", "SELECT * FROM v_jobs WHERE state = 'failed'", status.failed(),
                 [](const proto::FailedJob& job) {
                   return fmt::format("{}: {} (log: {})", job.title(), job.message(), job.log());
                 });
  if (!status.cancelled().empty()) text += "\ncancelled\n";
  for (const proto::CancelledJobs& group : status.cancelled()) {
    text += fmt::format("  {}: {}\n", count_of(group.n_jobs(), "job"), group.message());
  }
  text += status.workers().empty() ? "\nno workers\n" : "\nworkers\n";
  for (const proto::WorkerStatus& worker : status.workers()) {
    text += fmt::format("  {}  {} cpus, {} gpus, {} running, heard {} ago{}", worker.name(), worker.cpus(),
                        worker.gpus(), worker.running(), heard(worker),
                        (worker.draining() ? ", leaving" : "") + quarantine_of(worker));
    if (worker.remaining_s() > 0)
      text += fmt::format(", leaves in {}", human_duration(static_cast<double>(worker.remaining_s())));
    const std::map<std::string, std::string> labels(worker.labels().begin(), worker.labels().end());
    for (const auto& [name, value] : labels) text += fmt::format(", {}={}", name, value);
    text += "\n";
  }
  return text;
}

}  // namespace gauntlet::cli
