// gauntlet bench placement: the engine alone, gangs of 1 to 8 GPUs on simulated workers in simulated time.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <queue>

#include "cli/support/bench_report.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "coordinator/engine/handlers.hpp"
#include "core/base/check.hpp"
#include "core/base/random.hpp"

namespace gauntlet::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t kGpusPerWorker = 8;
constexpr std::int64_t kCpusPerWorker = 64;
constexpr std::uint32_t kLongestS = 20;  ///< attempts last 1 to so many simulated seconds

struct Options {
  FolderOptions folder;
  std::uint64_t jobs = 100'000;
  int workers = 64;
  std::uint64_t seed = 1;
  bool json = false;
};

/// GPUs of a job: half of the jobs ask for one, a quarter for 2, 15 % for 4, 10 % for 8. In GPUs, the gangs
/// of eight are a third of the work.
std::uint32_t shape_of_draw(std::uint32_t percent) {
  if (percent < 50) return 0;
  if (percent < 75) return 1;
  return percent < 90 ? 2 : 3;
}

/// What a store would say of a submission of so many jobs, all ready.
engine::SubmitOutcome submission(const Options& options, RandomStream& random) {
  engine::SubmitOutcome outcome;
  outcome.sweep.id = SweepId{1};
  outcome.sweep.name = "placement";
  for (const std::int64_t gpus : {1, 2, 4, 8}) {
    outcome.rows.shapes.push_back({.kind = spec::JobKind::kNoop,
                                   .entry = "",
                                   .version = 0,
                                   .resources = {.cpus = gpus, .gpus = gpus, .memory_mb = 1024}});
  }
  for (std::uint64_t id = 1; id <= options.jobs; ++id) {
    outcome.rows.jobs.push_back({.id = JobId{id},
                                 .shape = shape_of_draw(random.below(100)),
                                 .state = engine::JobStateTag::kQueued,
                                 .last_attempt = {},
                                 .culprit = {}});
    outcome.rows.members.push_back({SweepId{1}, JobId{id}});
  }
  outcome.new_jobs = options.jobs;
  return outcome;
}

engine::WorkerOffer offer_of(int index) {
  engine::WorkerOffer offer;
  offer.agent_id = fmt::format("agent-{}", index);
  offer.name = offer.agent_id;
  offer.cpus = kCpusPerWorker;
  offer.memory_mb = 1 << 20;
  offer.gpus = kGpusPerWorker;
  offer.credit = 512;
  return offer;
}

/// Plays the workers: every lease ends after its simulated seconds, one report at a time.
class Cluster {
 public:
  explicit Cluster(const Options& options)
      : n_jobs_(options.jobs), random_(RandomStream::of(options.seed, 3, 0)), state_({}) {
    const engine::SubmitOutcome outcome = submission(options, random_);
    for (const engine::JobRow& row : outcome.rows.jobs) {
      gpus_.push_back(outcome.rows.shapes[row.shape].resources.gpus);
    }
    must(engine::on_submit(state_, now(), outcome));
    for (int index = 0; index < options.workers; ++index) {
      take(engine::on_worker_joined(state_, now(), {offer_of(index), {}}));
    }
  }

  /// Until every job is done; seconds spent in the engine's handlers.
  double run() {
    SteadyClock::duration spent{};
    while (!running_.empty()) {
      const Running ended = running_.top();
      running_.pop();
      busy_gpu_s_ +=
          static_cast<double>(n_busy_gpus_) * std::chrono::duration<double>(ended.ends - at_).count();
      at_ = ended.ends;
      n_busy_gpus_ -= gpus_of(ended.ref.job);
      std::vector<engine::ReportEvent> reports(1);
      reports.front().ref = ended.ref;
      const auto start = SteadyClock::now();
      const engine::Decision decision = engine::on_report(state_, now(), ended.worker, std::move(reports));
      spent += SteadyClock::now() - start;
      take(decision);
    }
    return std::chrono::duration<double>(spent).count();
  }

  /// By job, first submitted first.
  [[nodiscard]] std::uint64_t n_placed() const { return order_.size(); }
  /// Most jobs submitted later that were placed before a job of so many GPUs.
  [[nodiscard]] std::uint64_t longest_wait(std::int64_t gpus) const;
  /// Share of the GPUs' time that was used until the last job began.
  [[nodiscard]] double utilization(int n_workers) const {
    return busy_at_last_start_ / (static_cast<double>(n_workers * kGpusPerWorker) *
                                  std::chrono::duration<double>(last_start_).count());
  }
  [[nodiscard]] Status check() const { return state_.check_invariants(); }

 private:
  struct Running {
    SteadyTime ends;
    WorkerId worker;
    engine::LeaseRef ref;
    bool operator>(const Running& other) const { return ends > other.ends; }
  };

  [[nodiscard]] engine::Now now() const { return {at_, 0}; }
  [[nodiscard]] std::int64_t gpus_of(JobId job) const { return gpus_[job.value - 1]; }

  void must(const Result<engine::Decision>& decision) {
    GAUNTLET_CHECK(decision.has_value());
    take(*decision);
  }

  void take(const engine::Decision& decision) {
    for (const engine::Outgoing& message : decision.messages) {
      const auto* leases = std::get_if<engine::GiveLeases>(&message);
      if (leases == nullptr) continue;
      for (const engine::LeaseGrant& grant : leases->grants) {
        order_.push_back(static_cast<std::uint32_t>(grant.job.value));
        n_busy_gpus_ += gpus_of(grant.job);
        running_.push({at_ + Milliseconds(1000 + random_.below(1000 * (kLongestS - 1))),
                       leases->worker,
                       {grant.job, grant.lease, grant.attempt}});
        last_start_ = at_ - SteadyTime{};
        busy_at_last_start_ = busy_gpu_s_;
      }
    }
  }

  std::uint64_t n_jobs_;
  RandomStream random_;
  engine::State state_;
  SteadyTime at_{};
  std::vector<std::int64_t> gpus_;  ///< by job number - 1
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::vector<std::uint32_t> order_;  ///< job numbers as they were placed
  std::int64_t n_busy_gpus_ = 0;
  double busy_gpu_s_ = 0;
  double busy_at_last_start_ = 0;
  SteadyTime::duration last_start_{};
};

std::uint64_t Cluster::longest_wait(std::int64_t gpus) const {
  std::vector<std::uint32_t> placed(n_jobs_ + 1, 0);  // a Fenwick tree over job numbers
  std::uint64_t longest = 0;
  for (std::uint64_t n_before = 0; n_before < order_.size(); ++n_before) {
    const std::uint32_t job = order_[n_before];
    std::uint64_t n_older = 0;
    for (std::uint32_t at = job; at > 0; at &= at - 1) n_older += placed[at];
    if (gpus_of(JobId{job}) == gpus) longest = std::max(longest, n_before - n_older);
    for (std::uint32_t at = job; at <= n_jobs_; at += at & (~at + 1)) ++placed[at];
  }
  return longest;
}

Result<Json> measure(const Options& options) {
  const auto start = SteadyClock::now();
  Cluster cluster(options);
  const double submit_s = std::chrono::duration<double>(SteadyClock::now() - start).count();
  const double seconds = cluster.run();
  GAUNTLET_CHECK_OK(cluster.check());
  if (cluster.n_placed() != options.jobs) {
    return fail(ErrorCode::kInternal, "{} of {} jobs were placed", cluster.n_placed(), options.jobs);
  }
  ::rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return Json{{"jobs", options.jobs},
              {"workers", options.workers},
              {"gpus", options.workers * kGpusPerWorker},
              {"placements_per_s", static_cast<double>(cluster.n_placed()) / seconds},
              {"submit_s", submit_s},
              {"longest_wait_8_gpus_placements", cluster.longest_wait(8)},
              {"longest_wait_1_gpu_placements", cluster.longest_wait(1)},
              {"utilization", cluster.utilization(options.workers)},
              {"rss_peak_mib", static_cast<double>(usage.ru_maxrss) / 1024}};
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const Json figures, measure(options));
  return report_figures("placement", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--jobs", options->jobs, "Jobs to queue (default 100,000)")
      .number_between(1000, 10'000'000);
  arguments.add_option("--workers", options->workers, "Simulated workers of 8 GPUs (default 64)")
      .number_between(1, 10'000);
  arguments.add_option("--seed", options->seed, "Of the mix of jobs and how long they take (default 1)");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_placement_verb;
constinit const Verb bench_placement_verb{
    .name = "bench placement",
    .summary = "Measure the scheduler alone: gangs of 1 to 8 GPUs on simulated workers",
    .examples = "  gauntlet bench placement\n  gauntlet bench placement --jobs 20000 --workers 8 --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
