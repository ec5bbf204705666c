// Agents and their connections as the simulation plays them: what they hold, what they say, what they may
// forget. Thread safety: none.
#pragma once

#include <bit>

#include <deque>
#include <optional>
#include <stdexcept>
#include <variant>

#include "coordinator/engine/handlers.hpp"
#include "tests/engine/books.hpp"

namespace gauntlet::engine {

/// A promise that does not hold.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Args>
void require(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds) throw Broken(fmt::format(text, std::forward<Args>(args)...));
}

// ---------------------------------------------------------------- connections

struct Join {
  WorkerOffer offer;
  std::vector<LeaseRef> held;
};
struct Reports {
  std::vector<ReportEvent> reports;
};
struct Beat {
  std::vector<LeaseId> running;
};
struct Drain {};
using Said = std::variant<Join, Reports, Beat, Drain>;

/// One connection. Either side may believe in it longer than the other.
struct Link {
  std::size_t agent = 0;
  WorkerId worker;               ///< the coordinator's: after the join
  bool coordinator_open = true;  ///< as the coordinator sees it
  bool agent_open = true;        ///< as the agent sees it
  bool silent = false;           ///< broken without a sign
  std::deque<Said> up;
  std::deque<Outgoing> down;
};

// ---------------------------------------------------------------- agents

struct Held {
  LeaseRef ref;
  std::uint64_t gpus = 0;
  std::optional<ReportEvent> report;  ///< once the attempt has ended
  bool sent = false;                  ///< the report, on the present connection
};

struct SimulatedAgent {
  WorkerOffer offer;
  bool alive = true;
  bool leaving = false;
  bool joined = false;
  std::optional<std::size_t> link;
  std::map<LeaseId, Held> held;

  [[nodiscard]] std::vector<LeaseRef> refs() const {
    std::vector<LeaseRef> refs;
    for (const auto& [id, lease] : held) refs.push_back(lease.ref);
    return refs;
  }
  [[nodiscard]] std::vector<LeaseId> running() const {
    std::vector<LeaseId> ids;
    for (const auto& [id, lease] : held) {
      if (!lease.report) ids.push_back(id);
    }
    return ids;
  }

  void end(Held& lease, std::optional<ErrorCode> code, double value = 0,
           std::vector<JobId> damaged = {}) const {
    ReportEvent& report = lease.report.emplace();
    report.ref = lease.ref;
    report.code = code;
    report.outcome.wall_s = lease.ref.lease.value % 64 == 0 ? 1 : 0.002;  // mostly short: leased ahead
    if (!code) report.outcome.rows.push_back({.metric = "value", .value = value, .unit = "count", .n = 1});
    report.damaged = std::move(damaged);
    lease.sent = false;
  }
  void end_all(ErrorCode code) {
    for (auto& [id, lease] : held) {
      if (!lease.report) end(lease, code);
    }
  }

  /// Reports that wait to be sent, at most `limit`.
  [[nodiscard]] std::vector<ReportEvent> take_unsent(std::size_t limit) {
    std::vector<ReportEvent> reports;
    for (auto& [id, lease] : held) {
      if (reports.size() == limit) break;
      if (!lease.report || lease.sent) continue;
      lease.sent = true;
      reports.push_back(*lease.report);
    }
    return reports;
  }

  /// What runs must fit into what the agent has: whatever is given to it, it was told to stop what stood in
  /// the way before. What was leased ahead waits for cpus, and for nothing else.
  void check_load(const Books& books) const {
    std::int64_t cpus = 0;
    std::int64_t memory_mb = 0;
    std::uint64_t gpus = 0;
    for (const auto& [id, lease] : held) {
      if (lease.report) continue;
      const spec::Resources& asked =
          books.plans.at(lease.ref.job.value).resources.with_gpus(std::popcount(lease.gpus));
      const std::int64_t n_cpus = std::min(asked.cpus, offer.cpus);
      const bool waits = cpus + n_cpus > offer.cpus;
      const spec::JobKind kind = books.plans.at(lease.ref.job.value).kind;
      require(!waits || (lease.gpus == 0 && !spec::needs_torch(kind)),
              "agent {} has lease {} ahead, of a job that must not wait there", offer.name, id.value);
      if (!waits) cpus += n_cpus;
      memory_mb += asked.memory_mb;
      require((gpus & lease.gpus) == 0, "agent {} has a gpu in two attempts", offer.name);
      gpus |= lease.gpus;
    }
    require(cpus <= offer.cpus && memory_mb <= offer.memory_mb && running().size() <= offer.credit,
            "agent {} runs {} attempts on {} of {} cpus and {} of {} MiB", offer.name, running().size(), cpus,
            offer.cpus, memory_mb, offer.memory_mb);
    require(offer.gpus >= 64 || (gpus >> offer.gpus) == 0, "agent {} was given a gpu it has not", offer.name);
  }
};

}  // namespace gauntlet::engine
