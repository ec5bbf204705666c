// What the page asks the database, over a connection for reading, so that it never holds up the writer;
// answers are what is on disk. No call leaves a read transaction open, which would keep the log from being
// emptied. Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::coordinator {

struct JobFilter {
  std::uint64_t sweep_id = 0;  ///< 0 = all jobs
  std::string state;           ///< "" = any
  std::string text;            ///< in the title, whatever the case, or the beginning of the key; "" = any
  std::uint64_t after = 0;     ///< job ids above this one
  std::size_t limit = 100;     ///< 1 to 500
};

/// {"jobs": [{"key", "kind", "entry", "state", "title", "attempts", "message", "changed_at"}], "next": the
/// `after` of the next page, null at the end}. Looks no longer than about half a second: a page may be
/// short, or empty, and have a next one.
[[nodiscard]] Result<Json> list_jobs(db::Connection& connection, const JobFilter& filter);

/// {"metrics": ["map", …]}: those the cells of a sweep are to have, curves not.
[[nodiscard]] Result<Json> list_metrics(db::Connection& connection, std::uint64_t sweep_id);

/// The sweep's table of one metric as results::render gives it. Errors: kNotFound (no sweep of that number),
/// kInvalid (more than 20,000 cells: a page is no place for them), those of results::make_table.
[[nodiscard]] Result<std::string> sweep_table(db::Connection& connection, std::uint64_t sweep_id,
                                              const std::string& metric);

/// {"curves": [{"label", "name", "x_label", "y_label", "x": […], "y": […]}]}, at most 200: of a sweep's
/// cells by the curve's name ("pr:radius_micro"), or all of a job.
[[nodiscard]] Result<Json> sweep_curves(db::Connection& connection, std::uint64_t sweep_id,
                                        const std::string& name);
[[nodiscard]] Result<Json> job_curves(db::Connection& connection, const std::string& key);

/// {"curves": […]} with one curve, jobs finished per minute in at most 61 steps, or none before the first has
/// finished. Sweeps with more than 2,000 job numbers are counted from every n-th of them; its name says so.
[[nodiscard]] Result<Json> sweep_throughput(db::Connection& connection, std::uint64_t sweep_id);

}  // namespace gauntlet::coordinator
