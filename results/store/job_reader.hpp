// What cells need of their jobs. Thread safety: none; belongs to the thread of its connection.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::results {

/// Cells share most of their jobs (a target model, crafted queries), so each job is read once.
class JobReader {
 public:
  /// The connection, which is in a transaction, outlives it.
  explicit JobReader(db::Connection& connection) : connection_(connection) {}

  /// The values of ascending cells with these names, by cell, metric and job. Called once. Errors: those of
  /// reading.
  [[nodiscard]] Result<std::vector<ValueRow>> read(const std::vector<CellRow>& cells,
                                                   const std::vector<std::string>& metrics);
  /// Of every job read so far, distinct, sorted.
  [[nodiscard]] Result<std::vector<EntryVersion>> versions();
  /// What the views of the values point at.
  [[nodiscard]] std::shared_ptr<const std::set<std::string>> texts() const { return texts_; }

 private:
  /// A metric name may stand for several metrics that differ in unit or direction.
  struct Metric {
    std::string_view name;
    std::string_view unit;
    bool higher_is_better = true;
  };
  struct Environment {
    std::string_view revision;
    std::string_view versions;
    std::string_view device;
  };
  /// A number of a job, as it lies in the database.
  struct Reading {
    std::int64_t job = 0;
    std::int64_t metric = 0;
    std::optional<double> value;
    std::int64_t n = 0;
    std::int64_t environment = 0;  ///< 0: none was reported
  };

  [[nodiscard]] Status read_metrics(const std::vector<std::string>& names);
  [[nodiscard]] Status read_jobs_of(const std::vector<CellRow>& cells);
  [[nodiscard]] Status read_shapes();
  [[nodiscard]] Status read_readings();
  [[nodiscard]] Result<const Environment*> environment_of(std::int64_t id);
  [[nodiscard]] std::string_view kept(std::string_view text) { return *texts_->emplace(text).first; }

  db::Connection& connection_;
  std::shared_ptr<std::set<std::string>> texts_ = std::make_shared<std::set<std::string>>();
  std::unordered_map<std::int64_t, Metric> metrics_;
  std::vector<std::pair<std::int64_t, std::int64_t>> jobs_of_cells_;  ///< (cell, job), ascending
  std::vector<std::int64_t> jobs_;                                    ///< ascending, distinct
  std::vector<Reading> readings_;                                     ///< by job
  std::unordered_map<std::int64_t, Environment> environments_;
  std::set<std::int64_t> shapes_;
};

}  // namespace gauntlet::results
