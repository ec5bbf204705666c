#include "core/proto/json.hpp"

#include <map>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"

namespace gauntlet::proto {
namespace {

Json progress_json(const AttemptProgress& progress) {
  Json losses = Json::object();
  for (const auto& [name, value] : progress.losses()) losses[name] = value;
  return {{"epoch", progress.epoch()},   {"epochs", progress.epochs()}, {"fraction", progress.fraction()},
          {"losses", std::move(losses)}, {"rate", progress.rate()},     {"phase", progress.phase()}};
}

}  // namespace

std::string key_hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes)
    hex += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return hex;
}

Json status_json(const StatusReply& status) {
  Json sweeps = Json::array();
  for (const SweepStatus& sweep : status.sweeps()) {
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
  for (const RunningJob& job : status.running()) {
    running.push_back({{"key", key_hex(job.key())},
                       {"kind", job.kind()},
                       {"title", job.title()},
                       {"attempt", job.attempt()},
                       {"worker", job.worker()},
                       {"started_at", iso8601_utc(job.started_ms())},
                       {"progress", progress_json(job.progress())}});
  }
  Json failed = Json::array();
  for (const FailedJob& job : status.failed()) {
    failed.push_back({{"key", key_hex(job.key())},
                      {"kind", job.kind()},
                      {"title", job.title()},
                      {"error", name_of(static_cast<ErrorCode>(job.code()))},
                      {"message", job.message()},
                      {"log", job.log()},
                      {"blocks", job.blocks()}});
  }
  Json workers = Json::array();
  for (const WorkerStatus& worker : status.workers()) {
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
         {"quarantine", worker.quarantine()},
         {"quarantined_gpus",
          std::vector<std::uint32_t>(worker.quarantined_gpus().begin(), worker.quarantined_gpus().end())},
         {"last_heard_ms_ago", worker.last_heard_ms_ago()}});
  }
  Json cancelled = Json::array();
  for (const CancelledJobs& group : status.cancelled()) {
    cancelled.push_back({{"message", group.message()}, {"jobs", group.n_jobs()}});
  }
  return {{"format", 1},      {"sweeps", sweeps},       {"running", running},
          {"failed", failed}, {"cancelled", cancelled}, {"workers", workers}};
}

Json explain_json(const ExplainReply& reply) {
  return {{"format", 1},
          {"key", key_hex(reply.key())},
          {"kind", reply.kind()},
          {"title", reply.title()},
          {"state", reply.state()},
          {"reasons", std::vector<std::string>(reply.reasons().begin(), reply.reasons().end())}};
}

Json attempts_json(const AttemptsReply& reply) {
  Json attempts = Json::array();
  for (const AttemptStatus& one : reply.attempts()) {
    attempts.push_back({{"attempt", one.attempt()},
                        {"outcome", one.outcome()},
                        {"superseded", one.superseded()},
                        {"worker", one.worker()},
                        {"started_at", iso8601_utc(one.started_ms())},
                        {"ended_at", one.ended_ms() == 0 ? Json() : Json(iso8601_utc(one.ended_ms()))},
                        {"message", one.message()},
                        {"log", one.log()}});
  }
  return {{"format", 1},
          {"key", key_hex(reply.key())},
          {"kind", reply.kind()},
          {"title", reply.title()},
          {"state", reply.state()},
          {"attempts", std::move(attempts)}};
}

}  // namespace gauntlet::proto
