#include "cli/support/status_text.hpp"

#include <fmt/ranges.h>

#include "cli/support/progress.hpp"
#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

Json progress_json(const proto::AttemptProgress& progress) {
  Json losses = Json::object();
  for (const auto& [name, value] : progress.losses()) losses[name] = value;
  return {{"epoch", progress.epoch()},   {"epochs", progress.epochs()}, {"fraction", progress.fraction()},
          {"losses", std::move(losses)}, {"rate", progress.rate()},     {"phase", progress.phase()}};
}

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

}  // namespace

std::string key_hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes)
    hex += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return hex;
}

std::string status_text(const proto::StatusReply& status) {
  std::string text;
  for (const proto::SweepStatus& sweep : status.sweeps()) {
    text += fmt::format("sweep {}  {}\n", sweep.sweep_id(), summary_of(sweep));
  }
  if (status.sweeps().empty()) text += "no sweeps\n";
  if (!status.running().empty()) text += "\nrunning\n";
  for (const proto::RunningJob& job : status.running()) {
    text += fmt::format("  {}  {}  on {}\n", key_hex(job.key()).substr(0, 12), line_of(job), job.worker());
  }
  if (!status.failed().empty()) text += "\nfailed\n";
  for (const proto::FailedJob& job : status.failed()) {
    text += fmt::format("  {}  {}: {} (log: {})\n", key_hex(job.key()).substr(0, 12), job.title(),
                        job.message(), job.log());
  }
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

Json status_json(const proto::StatusReply& status) {
  Json sweeps = Json::array();
  for (const proto::SweepStatus& sweep : status.sweeps()) {
    Json jobs = Json::object();
    for (const auto& [state, n] : sweep.jobs()) jobs[state] = n;
    sweeps.push_back({{"sweep_id", sweep.sweep_id()},
                      {"name", sweep.name()},
                      {"paused", sweep.paused()},
                      {"priority", sweep.priority()},
                      {"jobs", std::move(jobs)},
                      {"reused", sweep.reused()},
                      {"eta_s", sweep.eta_s() < 0 ? Json() : Json(sweep.eta_s())},
                      {"submitted_at", iso8601_utc(sweep.submitted_ms())}});
  }
  Json running = Json::array();
  for (const proto::RunningJob& job : status.running()) {
    running.push_back({{"key", key_hex(job.key())},
                       {"kind", job.kind()},
                       {"title", job.title()},
                       {"attempt", job.attempt()},
                       {"worker", job.worker()},
                       {"started_at", iso8601_utc(job.started_ms())},
                       {"progress", progress_json(job.progress())}});
  }
  Json failed = Json::array();
  for (const proto::FailedJob& job : status.failed()) {
    failed.push_back({{"key", key_hex(job.key())},
                      {"kind", job.kind()},
                      {"title", job.title()},
                      {"error", name_of(static_cast<ErrorCode>(job.code()))},
                      {"message", job.message()},
                      {"log", job.log()},
                      {"blocks", job.blocks()}});
  }
  Json workers = Json::array();
  for (const proto::WorkerStatus& worker : status.workers()) {
    workers.push_back(
        {{"worker_id", worker.worker_id()},
         {"name", worker.name()},
         {"cpus", worker.cpus()},
         {"gpus", worker.gpus()},
         {"memory_mb", worker.memory_mb()},
         {"labels", std::map<std::string, std::string>(worker.labels().begin(), worker.labels().end())},
         {"remaining_s", worker.remaining_s() > 0 ? Json(worker.remaining_s()) : Json()},
         {"running", worker.running()},
         {"draining", worker.draining()},
         {"last_heard_ms_ago", worker.last_heard_ms_ago()}});
  }
  Json cancelled = Json::array();
  for (const proto::CancelledJobs& group : status.cancelled()) {
    cancelled.push_back({{"message", group.message()}, {"jobs", group.n_jobs()}});
  }
  return {{"format", 1},      {"sweeps", sweeps},       {"running", running},
          {"failed", failed}, {"cancelled", cancelled}, {"workers", workers}};
}

}  // namespace gauntlet::cli
