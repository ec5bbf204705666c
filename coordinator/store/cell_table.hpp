// The cells of a submission, each with its jobs and the numbers it must have.
// Thread safety: none; the store's thread, within one transaction.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "coordinator/store/job_table.hpp"
#include "coordinator/store/state.hpp"

namespace gauntlet::store {

class CellTable {
 public:
  CellTable(StoreState& state, JobTable& jobs) : state_(state), connection_(state.connection), jobs_(jobs) {}

  /// First of all: the sweep whose cells come, in this revision of it.
  void begin(SweepId sweep, std::int64_t revision) {
    sweep_ = sweep;
    revision_ = revision;
  }
  /// A new cell, or one of an earlier revision, which then has these jobs. Errors (kInvalid): a job that is
  /// not known, a cell twice with different jobs; named.
  [[nodiscard]] Status add(const SubmittedCell& cell);
  [[nodiscard]] std::uint64_t n_new() const { return n_new_; }

 private:
  /// Jobs of the cell with their roles; a job with several roles has them all, joined by "+".
  [[nodiscard]] Result<std::map<JobId, std::string>> jobs_of(const SubmittedCell& cell);
  [[nodiscard]] Status check_repeated(const SubmittedCell& cell, std::int64_t cell_id,
                                      const std::map<JobId, std::string>& jobs);
  [[nodiscard]] Result<std::map<JobId, std::string>> stored_jobs(std::int64_t cell_id);
  /// 0: there is none.
  [[nodiscard]] Result<std::int64_t> find_cell(const spec::Cell& axes);
  [[nodiscard]] Status renew_cell(std::int64_t cell_id, std::int64_t set,
                                  const std::map<JobId, std::string>& jobs);
  [[nodiscard]] Status add_cell_jobs(std::int64_t cell_id, const std::map<JobId, std::string>& jobs);
  [[nodiscard]] Result<std::int64_t> id_of_role(const std::string& role);
  /// The number of a set of metric names; an empty set is 0.
  [[nodiscard]] Result<std::int64_t> metric_set(std::vector<std::string> names);
  [[nodiscard]] Status read_metric_sets();

  StoreState& state_;
  db::Connection& connection_;
  JobTable& jobs_;
  SweepId sweep_;
  std::int64_t revision_ = 0;
  std::uint64_t n_new_ = 0;
  std::unordered_set<std::int64_t> handled_;  ///< cells of this submission
};

}  // namespace gauntlet::store
