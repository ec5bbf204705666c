// Pictures of work: losses of trainings, jobs per minute.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <map>

#include "results/plot/figures.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kMinPrefix = 4;
constexpr std::size_t kKeyDigits = 64;
constexpr std::int64_t kMaxSteps = 60;
constexpr double kMsPerMinute = 60'000;

struct Job {
  std::int64_t id = 0;
  std::string title;
};

// The key's bytes with missing digits set to `filler`.
std::array<std::byte, kKeyDigits / 2> key_bytes(std::string prefix, char filler) {
  prefix.resize(kKeyDigits, filler);
  std::array<std::byte, kKeyDigits / 2> bytes{};
  const auto digit = [](char letter) {
    return letter <= '9' ? letter - '0' : std::tolower(static_cast<unsigned char>(letter)) - 'a' + 10;
  };
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(digit(prefix[2 * i]) * 16 + digit(prefix[2 * i + 1]));
  return bytes;
}

Result<Job> find_job(db::Connection& connection, const std::string& prefix) {
  const bool hexadecimal = std::all_of(prefix.begin(), prefix.end(),
                                       [](unsigned char letter) { return std::isxdigit(letter) != 0; });
  if (!hexadecimal || prefix.size() < kMinPrefix || prefix.size() > kKeyDigits) {
    return fail(ErrorCode::kInvalid, "a job is named by {} to {} hexadecimal digits of its key, not '{}'",
                kMinPrefix, kKeyDigits, prefix);
  }
  GAUNTLET_TRY(
      db::Statement * statement,
      connection.cached("SELECT j.job_id, sp.title FROM jobs j JOIN job_specs sp ON sp.job_id = j.job_id "
                        "WHERE j.key BETWEEN ? AND ? LIMIT 2"));
  GAUNTLET_CHECK_OK(statement->bind_all(std::span<const std::byte>(key_bytes(prefix, '0')),
                                        std::span<const std::byte>(key_bytes(prefix, 'f'))));
  GAUNTLET_TRY(const bool found, statement->step());
  if (!found) return fail(ErrorCode::kNotFound, "no job has a key that starts with {}", prefix);
  Job job{statement->integer(0), std::string(statement->text(1))};
  GAUNTLET_TRY(const bool another, statement->step());
  if (another)
    return fail(ErrorCode::kInvalid, "several jobs have keys that start with {}; give more digits", prefix);
  return job;
}

std::vector<double> doubles(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return {values.begin(), values.end()};
}

Result<std::int64_t> sweep_id_of(db::Connection& connection, const std::string& sweep) {
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT sweep_id FROM sweeps WHERE name = ?"));
  GAUNTLET_CHECK_OK(statement->bind_all(sweep));
  GAUNTLET_TRY(const bool found, statement->step());
  if (!found) return fail(ErrorCode::kNotFound, "there is no sweep '{}'", sweep);
  return statement->integer(0);
}

constexpr std::string_view kFinished =
    "FROM attempts a WHERE a.code = 0 AND a.ended_ms IS NOT NULL AND "
    "(?1 = 0 OR EXISTS (SELECT 1 FROM sweep_jobs sj WHERE sj.sweep_id = ?1 AND sj.job_id = a.job_id))";

/// When the first and the last job finished, in milliseconds since 1970.
struct Span {
  std::int64_t first = 0;
  std::int64_t last = 0;
};

Result<Span> span_of(db::Connection& connection, std::int64_t sweep_id, const std::string& sweep) {
  GAUNTLET_TRY(db::Statement statement,
               connection.prepare(fmt::format("SELECT min(a.started_ms), max(a.ended_ms) {}", kFinished)));
  GAUNTLET_CHECK_OK(statement.bind_all(sweep_id));
  GAUNTLET_TRY(const bool row, statement.step());
  if (!row || statement.is_null(0)) {
    return fail(ErrorCode::kNotFound, "no job {}has finished yet",
                sweep.empty() ? "" : "of '" + sweep + "' ");
  }
  return Span{statement.integer(0), statement.integer(1)};
}

}  // namespace

Result<Figure> loss_figure(db::Connection& connection, const std::vector<std::string>& jobs) {
  Figure figure;
  figure.x_label = "epoch";
  figure.y_label = "loss";
  std::map<std::string, Panel> terms;
  for (const std::string& prefix : jobs) {
    GAUNTLET_TRY(const Job job, find_job(connection, prefix));
    GAUNTLET_TRY(
        db::Statement * statement,
        connection.cached("SELECT name, x, y, x_label FROM curves WHERE job_id = ? AND name LIKE 'loss:%' "
                          "ORDER BY name"));
    GAUNTLET_CHECK_OK(statement->bind_all(job.id));
    bool any = false;
    while (true) {
      GAUNTLET_TRY(const bool row, statement->step());
      if (!row) break;
      any = true;
      const std::string term(statement->text(0).substr(5));
      Panel& panel = terms[term];
      panel.title = term;
      figure.x_label = statement->text(3);
      panel.series.push_back(
          {figure.legend.size(), doubles(statement->blob(1)), doubles(statement->blob(2)), {}});
    }
    if (!any) {
      return fail(ErrorCode::kNotFound, "{} ({}) has no loss curves; finished trainings have", job.title,
                  prefix);
    }
    figure.legend.push_back(job.title);
  }
  if (figure.legend.size() > kMaxSeries) {
    return fail(ErrorCode::kInvalid, "a picture shows at most {} jobs, not {}", kMaxSeries,
                figure.legend.size());
  }
  figure.title = figure.legend.size() == 1 ? figure.legend.front() : "";
  // The sum first, then its terms.
  const auto total = terms.find("total");
  if (total != terms.end()) figure.panels.push_back(total->second);
  for (const auto& [term, panel] : terms) {
    if (term != "total") figure.panels.push_back(panel);
  }
  figure.n_columns = std::min<std::size_t>(figure.panels.size(), 3);
  return figure;
}

Result<Figure> throughput_figure(db::Connection& connection, const std::string& sweep) {
  std::int64_t sweep_id = 0;
  if (!sweep.empty()) {
    GAUNTLET_TRY(sweep_id, sweep_id_of(connection, sweep));
  }
  GAUNTLET_TRY(const Span span, span_of(connection, sweep_id, sweep));
  const std::int64_t step = std::max<std::int64_t>(1, (span.last - span.first + kMaxSteps) / kMaxSteps);
  const std::int64_t n_steps = (span.last - span.first) / step + 1;
  GAUNTLET_TRY(
      db::Statement statement,
      connection.prepare(fmt::format("SELECT (a.ended_ms - ?2) / ?3, count(*) {} GROUP BY 1", kFinished)));
  GAUNTLET_CHECK_OK(statement.bind_at(1, sweep_id));
  GAUNTLET_CHECK_OK(statement.bind_at(2, span.first));
  GAUNTLET_CHECK_OK(statement.bind_at(3, step));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(n_steps), 0);
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) break;
    counts.at(static_cast<std::size_t>(std::clamp<std::int64_t>(statement.integer(0), 0, n_steps - 1))) +=
        statement.integer(1);
  }
  Figure figure;
  figure.title = sweep.empty() ? "Jobs finished" : fmt::format("Jobs finished: {}", sweep);
  figure.x_label = "minutes since the first job started";
  figure.y_label = "jobs per minute";
  figure.from_zero = true;
  figure.steps = true;
  figure.legend = {"jobs"};
  Series series;
  const double minutes = static_cast<double>(step) / kMsPerMinute;
  for (std::size_t at = 0; at < counts.size(); ++at) {
    series.x.push_back((static_cast<double>(at) + 0.5) * minutes);
    series.y.push_back(static_cast<double>(counts[at]) / minutes);
  }
  figure.panels.push_back({"", {std::move(series)}});
  return figure;
}

}  // namespace gauntlet::results
