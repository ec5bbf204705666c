// Jobs finished over time, for the page: of a large sweep from some of its jobs, so that a million of them
// take no longer than a few thousand.
#include <fmt/core.h>

#include <algorithm>

#include "coordinator/net/site_data.hpp"

namespace gauntlet::coordinator {
namespace {

constexpr std::int64_t kMaxLooked = 2000;  ///< jobs of a sweep that are looked at
constexpr std::int64_t kSteps = 60;
constexpr double kMsPerMinute = 60'000;

/// Every how many-th job number is looked at, between the first and the last of the sweep.
struct Sample {
  std::int64_t first = 0;
  std::int64_t last = -1;
  std::int64_t every = 1;
};

Result<Sample> sample_of(db::Connection& connection, std::uint64_t sweep_id) {
  GAUNTLET_TRY(db::Statement * ask,
               connection.cached("SELECT (SELECT min(job_id) FROM sweep_jobs WHERE sweep_id = ?1), (SELECT "
                                 "max(job_id) FROM sweep_jobs WHERE sweep_id = ?1)"));
  GAUNTLET_CHECK_OK(ask->bind_all(sweep_id));
  GAUNTLET_TRY(const bool row, ask->step());
  Sample sample;
  if (row && !ask->is_null(0)) {
    sample = {ask->integer(0), ask->integer(1), 1};
    sample.every = (sample.last - sample.first + kMaxLooked) / kMaxLooked;
  }
  ask->reset();
  return sample;
}

struct Times {
  std::int64_t first = 0;           ///< start of the first, ms since 1970
  std::vector<std::int64_t> ended;  ///< ms since 1970
};

Result<Times> read_times(db::Connection& connection, std::uint64_t sweep_id, const Sample& sample) {
  GAUNTLET_TRY(
      db::Statement read,
      connection.prepare(
          "WITH RECURSIVE looked(id) AS (SELECT ?2 WHERE ?2 <= ?3 UNION ALL SELECT id + ?4 FROM looked WHERE "
          "id + ?4 <= ?3) SELECT a.started_ms, a.ended_ms FROM looked CROSS JOIN sweep_jobs s ON s.sweep_id "
          "= "
          "?1 AND s.job_id = looked.id CROSS JOIN attempts a ON a.job_id = s.job_id WHERE a.code = 0 AND "
          "a.ended_ms IS NOT NULL"));
  GAUNTLET_CHECK_OK(read.bind_all(sweep_id, sample.first, sample.last, sample.every));
  Times times;
  while (true) {
    GAUNTLET_TRY(const bool row, read.step());
    if (!row) return times;
    times.first = times.ended.empty() ? read.integer(0) : std::min(times.first, read.integer(0));
    times.ended.push_back(read.integer(1));
  }
}

}  // namespace

Result<Json> sweep_throughput(db::Connection& connection, std::uint64_t sweep_id) {
  GAUNTLET_TRY(const Sample sample, sample_of(connection, sweep_id));
  GAUNTLET_TRY(const Times times, read_times(connection, sweep_id, sample));
  Json curves = Json::array();
  if (!times.ended.empty()) {
    const std::int64_t span = std::max<std::int64_t>(0, std::ranges::max(times.ended) - times.first);
    const std::int64_t step = std::max<std::int64_t>(1, (span + kSteps) / kSteps);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(span / step + 1), 0);
    for (const std::int64_t ended : times.ended)
      ++counts[static_cast<std::size_t>(std::max<std::int64_t>(0, ended - times.first) / step)];
    const double minutes = static_cast<double>(step) / kMsPerMinute;
    Json x = Json::array();
    Json y = Json::array();
    for (std::size_t at = 0; at < counts.size(); ++at) {
      x.push_back((static_cast<double>(at) + 0.5) * minutes);
      y.push_back(static_cast<double>(counts[at] * sample.every) / minutes);
    }
    curves.push_back(
        {{"label", "jobs"},
         {"name", sample.every == 1 ? std::string("Jobs finished")
                                    : fmt::format("Jobs finished, from one in {}", sample.every)},
         {"x_label", "minutes since the first began"},
         {"y_label", "jobs per minute"},
         {"x", std::move(x)},
         {"y", std::move(y)}});
  }
  return Json{{"curves", std::move(curves)}};
}

}  // namespace gauntlet::coordinator
