#include "cli/support/simulated_cluster.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace gauntlet::cli {
namespace {

constexpr double kDayS = 86400;
/// Seconds between two looks at timers; a served coordinator looks ten times a second.
constexpr double kTickS = 30;
/// Heartbeats are simulated this rarely, since a month of them would say nothing new; each is timed.
constexpr double kBeatS = 3600;
/// Transitions of one transaction. Served, a transaction has what was decided while the last one ran.
constexpr std::size_t kBatch = 2000;
/// Of a training that is cut off, this much may have to be done again.
constexpr double kCheckpointS = 300;
constexpr double kRepairS = 1800;
/// A failure in so many is the job's own.
constexpr std::uint32_t kFinalFailures = 20;

double thread_cpu_s() {
  ::timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

bool saves_checkpoints(std::uint8_t kind) {
  const auto job = static_cast<spec::JobKind>(kind);
  return job == spec::JobKind::kTrainModel || job == spec::JobKind::kTrainAttack ||
         job == spec::JobKind::kTrainDefense;
}

engine::EngineConfig config_of() {
  engine::EngineConfig config;
  config.heartbeat = Milliseconds(static_cast<std::int64_t>(kBeatS * 1000));
  return config;
}

}  // namespace

SimulatedCluster::SimulatedCluster(const ClusterOptions& options, store::JobStore store)
    : options_(options),
      store_(std::move(store)),
      state_(config_of()),
      random_(RandomStream::of(options.seed, 7, 0)),
      nodes_(static_cast<std::size_t>(options.nodes)) {}

Result<std::unique_ptr<SimulatedCluster>> SimulatedCluster::make(const ClusterOptions& options,
                                                                 const std::filesystem::path& folder) {
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(folder / "gauntlet.db"));
  return std::unique_ptr<SimulatedCluster>(new SimulatedCluster(options, std::move(store)));
}

engine::Now SimulatedCluster::now() const {
  const auto ms = static_cast<std::int64_t>(at_s_ * 1000);
  return {SteadyTime(Milliseconds(ms)), 1'700'000'000'000 + ms};
}

double SimulatedCluster::exponential(double mean) { return -mean * std::log(1 - random_.uniform()); }

void SimulatedCluster::schedule(double in_s, What what, std::uint64_t subject) {
  events_.push({at_s_ + in_s, what, subject});
}

Status SimulatedCluster::run() {
  schedule(0, What::kStudy, 0);
  schedule(kTickS, What::kTick, 0);
  for (std::uint64_t node = 0; node < nodes_.size(); ++node) {
    schedule(0, What::kBack, node);
    schedule(exponential(options_.node_days_between_failures * kDayS), What::kFail, node);
    schedule(exponential(options_.node_days_between_preemptions * kDayS), What::kPreempt, node);
    schedule(random_.uniform() * kBeatS, What::kBeat, node);
  }
  while (events_.top().at_s < options_.days * kDayS) {
    const Event event = events_.top();
    events_.pop();
    at_s_ = event.at_s;
    GAUNTLET_CHECK_OK(handle(event));
  }
  at_s_ = options_.days * kDayS;
  for (Node& node : nodes_) {
    for (const auto& [lease, running] : node.running) stop_clock(running);
    if (node.worker) figures_.gpu_s += static_cast<double>(options_.gpus) * (at_s_ - node.up_since_s);
  }
  GAUNTLET_CHECK_OK(commit());
  const engine::StateCounts& counts = state_.counts();
  figures_.jobs_done = counts[static_cast<std::size_t>(engine::JobStateTag::kDone)];
  figures_.jobs_failed = counts[static_cast<std::size_t>(engine::JobStateTag::kFailed)];
  return state_.check_invariants();
}

Status SimulatedCluster::handle(const Event& event) {
  const bool has_node = event.what == What::kBack || event.what == What::kBeat;
  Node* const node = has_node ? &nodes_[event.subject] : nullptr;
  switch (event.what) {
    case What::kStudy: {
      const double all_gpus = static_cast<double>(options_.nodes) * static_cast<double>(options_.gpus);
      const double every_s =
          3600 * mean_gpu_hours(options_.hours, options_.gpus) / (options_.load * all_gpus);
      schedule(exponential(every_s), What::kStudy, 0);
      return submit();
    }
    case What::kEnd:
      return end_attempt(event.subject);
    case What::kFail:
      schedule(exponential(options_.node_days_between_failures * kDayS), What::kFail, event.subject);
      return take_down(event.subject, false);
    case What::kPreempt:
      schedule(exponential(options_.node_days_between_preemptions * kDayS), What::kPreempt, event.subject);
      return take_down(event.subject, true);
    case What::kBack:
      return node->worker ? Status{} : join(event.subject);
    case What::kBeat: {
      schedule(kBeatS, What::kBeat, event.subject);
      if (!node->worker) return {};
      std::vector<LeaseId> running;
      for (const auto& [lease, attempt] : node->running) running.push_back(LeaseId{lease});
      ++figures_.heartbeats;
      return on_engine(figures_.heartbeat_cpu_s,
                       [&] { return engine::on_heartbeat(state_, now(), node->worker, running); });
    }
    case What::kTick: {
      schedule(kTickS, What::kTick, 0);
      ++figures_.ticks;
      const auto n_queued = state_.counts()[static_cast<std::size_t>(engine::JobStateTag::kQueued)];
      figures_.most_waiting = std::max(figures_.most_waiting, n_queued);
      return on_engine(figures_.tick_cpu_s, [&] { return engine::on_tick(state_, now()); });
    }
  }
  return {};
}

template <class Handler>
Status SimulatedCluster::on_engine(double& cpu_s, const Handler& handler) {
  const double before = thread_cpu_s();
  engine::Decision decision = handler();
  cpu_s += thread_cpu_s() - before;
  return decide(std::move(decision));
}

Status SimulatedCluster::submit() {
  const store::Submission study = simulated_study(++n_studies_, options_.gpus, random_);
  GAUNTLET_CHECK_OK(commit());  // in the order in which things were decided
  const double before = thread_cpu_s();
  GAUNTLET_TRY(const engine::SubmitOutcome outcome, store_.submit(study, now().wall_ms));
  figures_.store_cpu_s += thread_cpu_s() - before;
  figures_.jobs_submitted += outcome.new_jobs;
  for (const engine::JobRow& row : outcome.rows.jobs) {
    jobs_.resize(std::max<std::size_t>(jobs_.size(), row.id.value + 1));
    const engine::JobShape& shape = outcome.rows.shapes[row.shape];
    JobFacts& facts = jobs_[row.id.value];
    facts.kind = static_cast<std::uint8_t>(shape.kind);
    facts.gpus = static_cast<std::uint8_t>(shape.resources.gpus);
    if (row.state == engine::JobStateTag::kQueued) facts.ready_s = static_cast<float>(at_s_);
  }
  const double begun = thread_cpu_s();
  GAUNTLET_TRY(engine::Decision decision, engine::on_submit(state_, now(), outcome));
  figures_.engine_cpu_s += thread_cpu_s() - begun;
  return decide(std::move(decision));
}

Status SimulatedCluster::decide(engine::Decision decision) {
  for (engine::Transition& transition : decision.transitions) {
    if (const auto* queued = std::get_if<engine::JobQueued>(&transition.change))
      jobs_[queued->job.value].ready_s = static_cast<float>(at_s_);
    uncommitted_.push_back(std::move(transition));
  }
  // A transaction takes milliseconds, which is nothing here: leases begin at once.
  for (const engine::Outgoing& message : decision.messages) {
    const auto* leases = std::get_if<engine::GiveLeases>(&message);
    if (leases == nullptr) continue;
    const std::uint64_t node = node_of_worker_.at(leases->worker.value);
    for (const engine::LeaseGrant& grant : leases->grants) begin(node, grant);
  }
  return uncommitted_.size() >= kBatch ? commit() : Status{};
}

Status SimulatedCluster::commit() {
  if (uncommitted_.empty()) return {};
  const double before = thread_cpu_s();
  GAUNTLET_TRY(const auto payloads, store_.apply(uncommitted_));
  figures_.store_cpu_s += thread_cpu_s() - before;
  ++figures_.transactions;
  uncommitted_.clear();
  return {};
}

Status SimulatedCluster::join(std::uint64_t number) {
  Node& node = nodes_[number];
  engine::WorkerJoinedEvent event;
  event.offer.agent_id = fmt::format("node {} life {}", number, ++node.n_lives);
  event.offer.name = fmt::format("node-{}", number);
  event.offer.cpus = 8 * options_.gpus;
  event.offer.memory_mb = 65536 * options_.gpus;
  event.offer.gpus = options_.gpus;
  event.offer.credit = 512;
  event.offer.has_torch = true;
  const double before = thread_cpu_s();
  engine::Decision decision = engine::on_worker_joined(state_, now(), event);
  figures_.engine_cpu_s += thread_cpu_s() - before;
  for (const engine::Outgoing& message : decision.messages) {
    if (const auto* welcome = std::get_if<engine::WelcomeWorker>(&message)) node.worker = welcome->worker;
  }
  node.up_since_s = at_s_;
  node_of_worker_[node.worker.value] = number;
  return decide(std::move(decision));
}

void SimulatedCluster::begin(std::uint64_t number, const engine::LeaseGrant& grant) {
  JobFacts& job = jobs_[grant.job.value];
  ++figures_.attempts;
  const auto waited = static_cast<float>(at_s_) - job.ready_s;
  figures_.waits.push_back(waited);
  if (job.gpus == options_.gpus) figures_.gang_waits.push_back(waited);
  if (job.left_s < 0) {
    // Log-normal with a sigma of a half: most take about the mean, a few several times as long.
    const double normal =
        std::sqrt(-2 * std::log(1 - random_.uniform())) * std::cos(2 * M_PI * random_.uniform());
    job.left_s = static_cast<float>(3600 * options_.hours[job.kind] * std::exp(0.5 * normal - 0.125));
  }
  nodes_[number].running.emplace(grant.lease.value,
                                 Running{{grant.job, grant.lease, grant.attempt}, job.gpus, at_s_});
  node_of_lease_[grant.lease.value] = number;
  schedule(std::max(1.0F, job.left_s), What::kEnd, grant.lease.value);
}

void SimulatedCluster::stop_clock(const Running& running) {
  figures_.busy_gpu_s += static_cast<double>(running.gpus) * (at_s_ - running.began_s);
}

engine::ReportEvent SimulatedCluster::report_of(const Running& running, std::optional<ErrorCode> code) const {
  engine::ReportEvent report;
  report.ref = running.ref;
  report.code = code;
  report.outcome.wall_s = at_s_ - running.began_s;
  report.outcome.environment = R"({"program":"simulated","revision":"simulated"})";
  report.outcome.log = fmt::format("logs/{}/{}.log", running.ref.job.value, running.ref.attempt.value);
  if (code) {
    report.outcome.message = "simulated";
  } else if (static_cast<spec::JobKind>(jobs_[running.ref.job.value].kind) == spec::JobKind::kEvaluate) {
    for (const char* metric : {"map", "recall", "t_map"})
      report.outcome.rows.push_back({.metric = metric, .value = 0.5, .n = 5000});
  } else {
    report.outcome.manifest = std::string(64, 'a');
  }
  return report;
}

Status SimulatedCluster::end_attempt(std::uint64_t lease) {
  const auto place = node_of_lease_.find(lease);
  if (place == node_of_lease_.end()) return {};  // cut off before
  Node& node = nodes_[place->second];
  node_of_lease_.erase(place);
  const Running running = node.running.extract(lease).mapped();
  stop_clock(running);
  std::optional<ErrorCode> code;
  if (random_.uniform() < options_.attempt_failure_share) {
    code = random_.below(kFinalFailures) == 0 ? ErrorCode::kDiverged : ErrorCode::kProcessDied;
  }
  std::vector<engine::ReportEvent> reports = {report_of(running, code)};
  return on_engine(figures_.engine_cpu_s,
                   [&] { return engine::on_report(state_, now(), node.worker, std::move(reports)); });
}

Status SimulatedCluster::take_down(std::uint64_t number, bool announced) {
  Node& node = nodes_[number];
  if (!node.worker) return {};
  std::vector<engine::ReportEvent> reports;
  for (const auto& [lease, running] : node.running) {
    stop_clock(running);
    node_of_lease_.erase(lease);
    JobFacts& job = jobs_[running.ref.job.value];
    const double ran_s = at_s_ - running.began_s;
    if (saves_checkpoints(job.kind))
      job.left_s -= static_cast<float>(std::max(0.0, announced ? ran_s : ran_s - kCheckpointS));
    reports.push_back(report_of(running, ErrorCode::kInterrupted));
  }
  announced ? ++figures_.preemptions : ++figures_.losses;
  figures_.gpu_s += static_cast<double>(options_.gpus) * (at_s_ - node.up_since_s);
  node.running.clear();
  const WorkerId worker = std::exchange(node.worker, WorkerId{});
  schedule(exponential(kRepairS), What::kBack, number);
  if (announced) {
    GAUNTLET_CHECK_OK(
        on_engine(figures_.engine_cpu_s, [&] { return engine::on_drain(state_, now(), worker); }));
    GAUNTLET_CHECK_OK(on_engine(
        figures_.engine_cpu_s, [&] { return engine::on_report(state_, now(), worker, std::move(reports)); }));
  }
  return on_engine(figures_.engine_cpu_s, [&] { return engine::on_worker_left(state_, now(), worker); });
}

}  // namespace gauntlet::cli
