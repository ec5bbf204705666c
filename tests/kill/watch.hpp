// What a client is told while processes die around it, and what must therefore be true later.
#pragma once

#include <gmock/gmock.h>

#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/client/client.hpp"
#include "core/base/random.hpp"
#include "core/proto/convert.hpp"
#include "core/spec/expand.hpp"
#include "core/spec/sweep_spec.hpp"
#include "tests/kill/cluster.hpp"

namespace gauntlet::kill {

/// The nth sweep of the test: jobs that take some milliseconds each, or none at all.
struct Sweep {
  std::string name;
  std::string text;
  std::vector<std::string> keys;  ///< hexadecimal
};

inline Sweep sweep_of(int nth) {
  Sweep sweep;
  sweep.name = fmt::format("sweep-{:03}", nth);
  const bool is_quick =
      nth % 4 == 3;  // executors get many at once; each such sweep repeats and widens the last
  const int n_jobs = is_quick ? 40 * (nth / 4 + 1) : 40;
  sweep.text =
      fmt::format("gauntlet: 1\nname: {}\nnoop: {{jobs: {}, ms: {}}}\nresources: {{noop: {{cpus: {}}}}}\n",
                  sweep.name, n_jobs, is_quick ? 0 : 20 + nth, is_quick ? 0 : 1);
  const spec::ParsedSweep parsed = spec::parse_sweep(sweep.text, sweep.name, spec::Catalog::builtin());
  if (!parsed.spec) {
    ADD_FAILURE() << sweep.text;
    return sweep;
  }
  const auto expansion = spec::expand(*parsed.spec, spec::Catalog::builtin(), {});
  EXPECT_TRUE(expansion);
  for (const spec::PlannedJob& job : expansion->jobs) sweep.keys.push_back(job.key.hex());
  return sweep;
}

class Watch {
 public:
  Watch(const Cluster& cluster, std::uint64_t seed)
      : cluster_(cluster), random_(RandomStream::of(seed, 2, 0)) {}

  /// Hands in the next sweep when little is left to do; again and again until that is acknowledged.
  void hand_in(std::size_t n_left_at_most) {
    if (submission_ == nullptr) {
      if (n_left() > n_left_at_most) return;
      submission_ = start();
      return;
    }
    if (submission_->is_running()) return;
    const Finished ended = submission_->wait();
    if (ended.exit_code == 0) {
      sweeps_.push_back(std::move(next_));
      next_ = sweep_of(static_cast<int>(sweeps_.size()));
      submission_.reset();
    } else {  // 1 would be a bug, 2 a wrong file
      EXPECT_THAT(ended.exit_code, testing::AnyOf(5, 8, 1)) << ended.err;
      submission_ = start();
    }
  }
  [[nodiscard]] bool is_handing_in() const { return submission_ != nullptr; }

  /// Asks what is done, if anybody answers, and compares with what was said before.
  void look() {
    if (!client_) {
      auto connected = client::Client::connect(cluster_.workdir(), Milliseconds(2000));
      if (!connected) return;
      client_.emplace(std::move(*connected));
      ++n_connections;
    }
    if (!take_status() || !ask_for_one()) client_.reset();
  }

  /// Of acknowledged sweeps, by what was heard last.
  [[nodiscard]] std::size_t n_left() const {
    std::size_t n_left = 0;
    for (const Sweep& sweep : sweeps_) {
      const auto heard = done_.find(sweep.name);
      n_left += sweep.keys.size() - (heard == done_.end() ? 0 : static_cast<std::size_t>(heard->second));
    }
    return n_left;
  }

  [[nodiscard]] const std::vector<Sweep>& sweeps() const { return sweeps_; }
  /// Attempt by key of the jobs that were said to be done.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& done_jobs() const { return done_jobs_; }
  [[nodiscard]] std::uint64_t n_failed() const { return n_failed_; }

  int n_answers = 0;
  int n_connections = 0;

 private:
  [[nodiscard]] std::unique_ptr<Process> start() const {
    const auto path = cluster_.folder() / (next_.name + ".yaml");
    std::ofstream(path) << next_.text;
    return cluster_.start({"submit", path.string()});
  }

  [[nodiscard]] bool take_status() {
    proto::Frame frame;
    frame.mutable_status_request();
    const auto answer = client_->request(frame, Milliseconds(30'000));
    if (!answer) return false;
    ++n_answers;
    n_failed_ = 0;
    for (const proto::SweepStatus& sweep : answer->status_reply().sweeps()) {
      const auto count = sweep.jobs().find("done");
      const std::uint64_t n_done = count == sweep.jobs().end() ? 0 : count->second;
      EXPECT_GE(n_done, done_[sweep.name()]) << "of " << sweep.name() << " more was done before";
      done_[sweep.name()] = n_done;
      const auto failed = sweep.jobs().find("failed");
      if (failed != sweep.jobs().end()) n_failed_ += failed->second;
    }
    return true;
  }

  /// One job at random: once it is done, it stays done by that attempt.
  [[nodiscard]] bool ask_for_one() {
    if (sweeps_.empty()) return true;
    const std::size_t n_recent = std::min<std::size_t>(sweeps_.size(), 4);
    const Sweep& sweep = sweeps_[sweeps_.size() - 1 - random_.below(static_cast<std::uint32_t>(n_recent))];
    const std::string& key = sweep.keys[random_.below(static_cast<std::uint32_t>(sweep.keys.size()))];
    proto::Frame frame;
    frame.mutable_explain_request()->set_key_prefix(key);
    const auto answer = client_->request(frame, Milliseconds(30'000));
    if (!answer) {
      EXPECT_NE(answer.error().code, ErrorCode::kNotFound) << "an acknowledged job: " << key;
      return false;
    }
    const proto::ExplainReply& reply = answer->explain_reply();
    if (reply.state() != "done") {
      EXPECT_FALSE(done_jobs_.contains(key)) << key << " was done and is " << reply.state();
      return true;
    }
    const std::string said = "done by attempt ";
    EXPECT_TRUE(reply.reasons(0).starts_with(said)) << reply.reasons(0);
    const std::uint64_t attempt = std::stoull(reply.reasons(0).substr(said.size()));
    EXPECT_EQ(done_jobs_.emplace(key, attempt).first->second, attempt) << key;
    return true;
  }

  const Cluster& cluster_;
  RandomStream random_;
  std::optional<client::Client> client_;
  Sweep next_ = sweep_of(0);
  std::unique_ptr<Process> submission_;
  std::vector<Sweep> sweeps_;                  ///< acknowledged
  std::map<std::string, std::uint64_t> done_;  ///< jobs by sweep
  std::map<std::string, std::uint64_t> done_jobs_;
  std::uint64_t n_failed_ = 0;
};

}  // namespace gauntlet::kill
