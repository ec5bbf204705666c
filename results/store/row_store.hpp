// Numbers into the database: results, curves, environments. Called inside the coordinator's transaction.
// Thread safety: none; belongs to the thread of its connection.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::results {

class RowStore {
 public:
  /// The connection must outlive this.
  explicit RowStore(db::Connection& connection) : connection_(&connection) {}

  /// Writes what an attempt measured. A metric or curve named twice keeps its last reading; a value that is
  /// not a number is kept as NULL: measured, but no number. Rows of an earlier attempt must have been
  /// removed.
  [[nodiscard]] Status insert(JobId job, AttemptNo attempt, std::span<const spec::ResultRow> rows,
                              std::span<const spec::Curve> curves);
  /// Removes rows and curves of a job that runs again.
  [[nodiscard]] Status remove(JobId job);

  /// Id of an environment given as canonical JSON; nothing for "". Keys read: revision, versions, device,
  /// world_size, threads; a text that is no JSON object is kept as it came.
  [[nodiscard]] Result<std::optional<std::int64_t>> environment(const std::string& document);

  /// Forgets what it remembers of the database; to be called after a rollback.
  void forget();

 private:
  [[nodiscard]] Result<std::int64_t> metric_id(const spec::ResultRow& row);

  db::Connection* connection_;
  std::map<std::tuple<std::string, std::string, bool>, std::int64_t, std::less<>> metrics_;
  std::unordered_map<std::string, std::int64_t> environments_;
};

}  // namespace gauntlet::results
