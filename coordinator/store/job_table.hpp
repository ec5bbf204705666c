// The jobs of a submission: found by their keys, and new ones written many rows at a time.
// Thread safety: none; the store's thread, within one transaction.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/engine/transitions.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::store {

struct KnownJob {
  JobId id;
  engine::JobStateTag state = engine::JobStateTag::kWaiting;
  std::int64_t shape = 0;
  bool member = false;  ///< of the sweep, by this submission
};

/// Keys come in no order, so each new one would go to another page of their index. A submission that has
/// brought many jobs, and as many as there were, drops the index and makes it anew at its end, sorted; until
/// then it finds jobs by what it has in memory.
class JobTable {
 public:
  JobTable(db::Connection& connection, std::int64_t at_ms) : connection_(connection), at_ms_(at_ms) {}
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;
  /// The page cache is as large as usual again, and empty after a large submission.
  ~JobTable();

  /// First of all. New jobs become members of this sweep.
  [[nodiscard]] Status begin(SweepId sweep);
  /// Null: there is none. Valid until the next call.
  [[nodiscard]] Result<KnownJob*> find(const JobKey& key);
  /// A job that find() does not find. Its row is written by the next flush(): `job` must live so long.
  [[nodiscard]] Result<JobId> insert(const SubmittedJob& job, std::int64_t shape, engine::JobStateTag state,
                                     const std::vector<JobId>& needs);
  [[nodiscard]] Status flush();
  /// Writes the rest, and the index where there is none.
  [[nodiscard]] Status finish();

 private:
  struct NewJob {
    const SubmittedJob* job;
    JobId id;
    std::int64_t shape;
    engine::JobStateTag state;
  };
  /// SHA-256 is uniform already.
  struct KeyHash : std::hash<JobKey> {
    using is_avalanching = void;
  };

  /// Once the submission is a large one.
  [[nodiscard]] Status expect_many();
  [[nodiscard]] Status drop_index();

  db::Connection& connection_;
  std::int64_t at_ms_;
  SweepId sweep_;
  std::uint64_t first_id_ = 1;  ///< of the new jobs, which are numbered on from it
  std::uint64_t next_id_ = 1;
  boost::unordered_flat_map<JobKey, KnownJob, KeyHash> known_;
  bool is_large_ = false;
  std::string dropped_index_;  ///< its definition; "" = it is there
  std::vector<NewJob> unwritten_;
  std::vector<engine::NeedRow> unwritten_needs_;
};

}  // namespace gauntlet::store
