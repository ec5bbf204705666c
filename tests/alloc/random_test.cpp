// Random sequences of events by seed against a batch system that loses answers, ends jobs as it likes and
// forgets them: after every step the promises hold, in the state and in what the batch system really has.
#include <map>
#include <random>

#include "tests/alloc/world.hpp"

namespace gauntlet::alloc {
namespace {

struct RealJob {
  std::string name;
  BatchJobState state = BatchJobState::kPending;
  std::string word = "PENDING";
  bool failed = false;
  bool shown = true;
  Milliseconds ended{0};
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) {
    QueueSpec spec = slurm_spec();
    spec.max = 1 + static_cast<std::int64_t>(seed % 4);
    spec.idle_s = 30;
    queues_.push_back(world_.add(spec));
    if (seed % 3 == 0) queues_.push_back(world_.add(slurm_spec()));
    take();
  }

  void step() {
    world_.pass(Milliseconds(chance(0.1) ? 60'000 : 1'000));
    if (chance(0.2)) world_.view.demand = {jobs_of(static_cast<double>(random_() % 8))};
    move_jobs();
    if (chance(0.7)) tell_agents();
    if (!pending_.empty() && chance(0.5)) {
      answer();
    } else if (chance(0.01)) {
      crash();
    } else if (chance(0.02)) {
      for (const QueueId queue : queues_) {
        auto resumed = on_resume(world_.state, world_.now(), queue);
        if (resumed) world_.take(*resumed);
      }
      take();
    } else {
      world_.tick();
      take();
    }
    check();
  }

  /// Nothing fails any more; the queues are removed. Whether everything is gone in the end.
  [[nodiscard]] bool drain() {
    calm_ = true;
    for (const QueueId queue : queues_) {
      auto removed = on_remove(world_.state, world_.now(), queue);
      if (removed) world_.take(*removed);
      take();
    }
    for (int at = 0; at < 2000 && !world_.state.queues().empty(); ++at) {
      world_.pass(Milliseconds(1'000));
      while (!pending_.empty()) answer();
      world_.tick();
      take();
      check();
    }
    return world_.state.queues().empty() && n_live("") == 0;
  }

  std::size_t n_submitted = 0;
  std::size_t n_restarts = 0;
  std::size_t n_lost_answers = 0;

 private:
  [[nodiscard]] bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }

  /// Commands of the last decision become what is pending.
  void take() {
    for (const Submit& submit : world_.submits) pending_.emplace_back(submit);
    for (const Cancel& cancel : world_.cancels) pending_.emplace_back(cancel);
    for (const List& list : world_.lists) pending_.emplace_back(list);
    world_.submits.clear();
    world_.cancels.clear();
    world_.lists.clear();
  }

  [[nodiscard]] std::string name_of(AllocationId id) const {
    return job_name(world_.queues.at(world_.rows.at(id).queue), id);
  }

  void answer() {
    const auto at = static_cast<std::ptrdiff_t>(random_() % pending_.size());
    const Command command = pending_[static_cast<std::size_t>(at)];
    pending_.erase(pending_.begin() + at);
    if (const auto* submit = std::get_if<Submit>(&command)) answer_submit(*submit);
    if (const auto* cancel = std::get_if<Cancel>(&command)) answer_cancel(*cancel);
    if (std::holds_alternative<List>(command)) answer_list();
    take();
  }

  void answer_submit(const Submit& submit) {
    const bool takes = calm_ || chance(0.8);
    const bool answers = calm_ || chance(0.85);
    std::string id;
    if (takes) {
      id = fmt::format("{}", ++last_id_);
      real_[id].name = name_of(submit.allocation);
      ++n_submitted;
    }
    n_lost_answers += answers ? 0 : 1;
    if (takes && answers) {
      world_.take(on_submitted(world_.state, world_.now(), submit.allocation, id));
    } else {
      world_.take(on_refused(world_.state, world_.now(), submit.allocation, "no", !answers));
    }
  }

  void answer_cancel(const Cancel& cancel) {
    if (calm_ || chance(0.7)) {
      for (const std::string& id : cancel.batch_ids) {
        const auto found = real_.find(id);
        if (found != real_.end()) end(found->second, "CANCELLED", false);
      }
    }
    world_.take(on_cancelled(world_.state, world_.now(), cancel.allocations, chance(0.5) ? "no" : ""));
  }

  void answer_list() {
    if (!calm_ && chance(0.2)) return world_.take(on_list_failed(world_.state, world_.now(), "slurm", "no"));
    std::vector<BatchJob> jobs;
    for (const auto& [id, real] : real_) {
      if (!calm_ && real.state != BatchJobState::kEnded && chance(0.01))
        continue;  // seldom enough not to miss twice
      jobs.push_back({.id = id,
                      .name = real.name,
                      .state = real.state,
                      .word = real.word,
                      .reason = {},
                      .failed = real.failed});
    }
    world_.list(jobs);
  }

  void end(RealJob& job, const std::string& word, bool failed) {
    if (job.state == BatchJobState::kEnded) return;
    job.state = BatchJobState::kEnded;
    job.word = word;
    job.failed = failed;
  }

  void move_jobs() {
    for (auto& [id, job] : real_) {
      if (job.state == BatchJobState::kPending && chance(0.2)) {
        job.state = BatchJobState::kRunning;
        job.word = "RUNNING";
      } else if (job.state == BatchJobState::kRunning && chance(0.02)) {
        end(job, chance(0.5) ? "COMPLETED" : "NODE_FAIL", chance(0.5));
      }
    }
    std::erase_if(real_, [&](const auto& pair) {  // the batch system forgets
      return pair.second.state == BatchJobState::kEnded && chance(0.01);
    });
  }

  void tell_agents() {
    world_.view.agents.clear();
    for (const auto& [id, job] : real_) {
      if (job.state != BatchJobState::kRunning || chance(0.2)) continue;
      const AllocationId allocation{std::stoull(job.name.substr(job.name.rfind('-') + 1))};
      world_.view.agents[allocation] = {.n_workers = 1, .n_leases = random_() % 2, .offer = std::nullopt};
    }
  }

  /// Commands under way may be done or not; their answers are lost either way.
  void crash() {
    ++n_restarts;
    for (const Command& command : std::exchange(pending_, {})) {
      const auto* submit = std::get_if<Submit>(&command);
      if (submit == nullptr || chance(0.5)) continue;
      real_[fmt::format("{}", ++last_id_)].name = name_of(submit->allocation);
      ++n_submitted;
    }
    world_.restart();
  }

  [[nodiscard]] std::int64_t n_live(const std::string& prefix) const {
    return std::count_if(real_.begin(), real_.end(), [&](const auto& pair) {
      return pair.second.state != BatchJobState::kEnded && pair.second.name.starts_with(prefix);
    });
  }

  void check() {
    // All queues have one tag here, so count by the rows' queues.
    std::map<QueueId, std::int64_t> n_real;
    for (const auto& [id, job] : real_) {
      if (job.state == BatchJobState::kEnded) continue;
      const AllocationId allocation{std::stoull(job.name.substr(job.name.rfind('-') + 1))};
      ++n_real[world_.rows.at(allocation).queue];
    }
    for (const auto& [id, n_jobs] : n_real) EXPECT_LE(n_jobs, world_.queues.at(id).spec.max);
  }

  World world_;
  std::mt19937_64 random_;
  std::vector<QueueId> queues_;
  std::vector<Command> pending_;
  std::map<std::string, RealJob> real_;
  std::uint64_t last_id_ = 0;
  bool calm_ = false;
};

TEST(RandomAllocations, KeepTheirPromises) {
  std::size_t n_submitted = 0;
  std::size_t n_restarts = 0;
  std::size_t n_lost_answers = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Simulation simulation(seed);
    for (int step = 0; step < 1500 && !testing::Test::HasFailure(); ++step) simulation.step();
    EXPECT_TRUE(simulation.drain());
    n_submitted += simulation.n_submitted;
    n_restarts += simulation.n_restarts;
    n_lost_answers += simulation.n_lost_answers;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(n_submitted, 500U);  // else it tests nothing
  EXPECT_GT(n_restarts, 100U);
  EXPECT_GT(n_lost_answers, 50U);
}

}  // namespace
}  // namespace gauntlet::alloc
