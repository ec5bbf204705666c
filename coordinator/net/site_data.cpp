#include "coordinator/net/site_data.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/db/snapshot.hpp"
#include "results/table/render.hpp"

namespace gauntlet::coordinator {
namespace {

/// Jobs looked at in one statement, where some are looked for: few at first, for most filters fit many jobs.
constexpr std::int64_t kFirstWindow = 500;
constexpr std::int64_t kLastWindow = 20'000;
constexpr std::int64_t kWindowGrowth = 4;
constexpr std::chrono::milliseconds kPatience{400};
constexpr std::int64_t kMaxTableCells = 20'000;
constexpr int kMaxCurves = 200;

constexpr std::string_view kJobColumns =
    "SELECT w.job_id, lower(hex(j.key)), k.name, sh.entry, st.name, sp.title, j.attempt, j.message, "
    "j.changed_ms FROM slice w JOIN jobs j ON j.job_id = w.job_id JOIN job_specs sp ON sp.job_id = w.job_id "
    "JOIN job_shapes sh ON sh.shape_id = j.shape_id JOIN job_kinds k ON k.kind = sh.kind JOIN job_states st "
    "ON st.state = j.state WHERE (?3 = '' OR st.name = ?3) AND (?4 = '' OR instr(lower(sp.title), ?4) > 0 OR "
    "instr(lower(hex(j.key)), ?4) = 1) ORDER BY w.job_id LIMIT ?5";
constexpr std::string_view kWindowOfSweep =
    "WITH slice AS (SELECT job_id FROM sweep_jobs WHERE sweep_id = ?1 AND job_id > ?2 ORDER BY job_id LIMIT "
    "?6) ";
constexpr std::string_view kWindowOfAll =
    "WITH slice AS (SELECT job_id FROM jobs WHERE ?1 = 0 AND job_id > ?2 ORDER BY job_id LIMIT ?6) ";

std::string lower(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return text;
}

/// The last job of the window that begins after a job, and whether more follow.
struct WindowEnd {
  std::uint64_t last = 0;
  bool is_full = false;
};

Result<WindowEnd> end_of_window(db::Connection& connection, const JobFilter& filter, std::uint64_t after,
                                std::int64_t n_window) {
  const std::string window(filter.sweep_id == 0 ? kWindowOfAll : kWindowOfSweep);
  GAUNTLET_TRY(db::Statement * ask,
               connection.cached(window + "SELECT coalesce(max(job_id), 0), count(*) FROM slice"));
  GAUNTLET_CHECK_OK(ask->bind_all(filter.sweep_id, after, nullptr, nullptr, nullptr, n_window));
  GAUNTLET_CHECK_OK(ask->step());
  const WindowEnd end{static_cast<std::uint64_t>(ask->integer(0)), ask->integer(1) == n_window};
  ask->reset();
  return end;
}

Json job_json(db::Statement& row) {
  return {{"key", std::string(row.text(1))},
          {"kind", std::string(row.text(2))},
          {"entry", std::string(row.text(3))},
          {"state", std::string(row.text(4))},
          {"title", std::string(row.text(5))},
          {"attempts", row.integer(6)},
          {"message", row.is_null(7) ? Json("") : Json(std::string(row.text(7)))},
          {"changed_at", iso8601_utc(row.integer(8))}};
}

Json floats_json(std::span<const std::byte> bytes) {
  Json numbers = Json::array();
  for (std::size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
    float number = 0;
    std::memcpy(&number, bytes.data() + at, sizeof number);
    numbers.push_back(number);
  }
  return numbers;
}

Json curve_json(std::string label, db::Statement& row) {
  return {{"label", std::move(label)},           {"name", std::string(row.text(0))},
          {"x_label", std::string(row.text(1))}, {"y_label", std::string(row.text(2))},
          {"x", floats_json(row.blob(3))},       {"y", floats_json(row.blob(4))}};
}

Result<std::string> name_of_sweep(db::Connection& connection, std::uint64_t sweep_id) {
  GAUNTLET_TRY(db::Statement ask, connection.prepare("SELECT name FROM sweeps WHERE sweep_id = ?"));
  GAUNTLET_CHECK_OK(ask.bind_all(sweep_id));
  GAUNTLET_TRY(const bool row, ask.step());
  if (!row) return fail(ErrorCode::kNotFound, "there is no sweep {}", sweep_id);
  return std::string(ask.text(0));
}

std::string table_spec(const std::string& sweep, const std::string& metric) {
  return fmt::format(
      "gauntlet_table: 1\ntitle: {}\nfilter: {{sweep: {}}}\nmetric: {}\nrows:\n  - [dataset]\n  - [model]\n"
      "  - [bits]\n  - [attack, protocol]\n  - [defense, variant]\ncolumns:\n  - [direction]\nscale: "
      "percent\n"
      "decimals: 1\nbest: block\ncollapse: true\nlabels:\n  protocol: {{none: '', static: ''}}\n"
      "  direction: {{i2t: 'I → T', t2i: 'T → I'}}\n",
      Json(sweep).dump(), Json(sweep).dump(), Json(metric).dump());
}

}  // namespace

Result<Json> list_jobs(db::Connection& connection, const JobFilter& filter) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  const std::string sql =
      std::string(filter.sweep_id == 0 ? kWindowOfAll : kWindowOfSweep) + std::string(kJobColumns);
  const bool takes_all = filter.state.empty() && filter.text.empty();
  auto n_window = takes_all ? static_cast<std::int64_t>(filter.limit) : kFirstWindow;
  Json jobs = Json::array();
  std::uint64_t after = filter.after;
  while (true) {
    GAUNTLET_TRY(db::Statement * read, connection.cached(sql));
    GAUNTLET_CHECK_OK(read->bind_all(filter.sweep_id, after, filter.state, lower(filter.text),
                                     static_cast<std::int64_t>(filter.limit - jobs.size()), n_window));
    std::uint64_t last = 0;
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) break;
      last = static_cast<std::uint64_t>(read->integer(0));
      jobs.push_back(job_json(*read));
    }
    if (jobs.size() >= filter.limit) return Json{{"jobs", std::move(jobs)}, {"next", last}};
    GAUNTLET_TRY(const WindowEnd end, end_of_window(connection, filter, after, n_window));
    if (!end.is_full) return Json{{"jobs", std::move(jobs)}, {"next", nullptr}};
    after = end.last;
    if (!takes_all) n_window = std::min(n_window * kWindowGrowth, kLastWindow);
    if (std::chrono::steady_clock::now() > deadline) return Json{{"jobs", std::move(jobs)}, {"next", after}};
  }
}

Result<Json> list_metrics(db::Connection& connection, std::uint64_t sweep_id) {
  GAUNTLET_TRY(
      db::Statement read,
      connection.prepare("SELECT DISTINCT metric FROM cell_metrics m WHERE EXISTS (SELECT 1 FROM cells "
                         "c WHERE c.sweep_id = ? AND c.metric_set = m.metric_set) ORDER BY metric"));
  GAUNTLET_CHECK_OK(read.bind_all(sweep_id));
  Json metrics = Json::array();
  while (true) {
    GAUNTLET_TRY(const bool row, read.step());
    if (!row) return Json{{"metrics", std::move(metrics)}};
    metrics.push_back(std::string(read.text(0)));
  }
}

Result<std::string> sweep_table(db::Connection& connection, std::uint64_t sweep_id,
                                const std::string& metric) {
  GAUNTLET_TRY(const db::Snapshot moment, db::Snapshot::open(connection));
  GAUNTLET_TRY(const std::string name, name_of_sweep(connection, sweep_id));
  GAUNTLET_TRY(const std::int64_t n_cells,
               connection.integer(
                   fmt::format("SELECT count(*) FROM (SELECT 1 FROM cells WHERE sweep_id = {} LIMIT {})",
                               sweep_id, kMaxTableCells + 1)));
  if (n_cells > kMaxTableCells) {
    return fail(ErrorCode::kInvalid,
                "the sweep has more than {} cells; `gauntlet table` with a filter shows a part of them",
                kMaxTableCells);
  }
  GAUNTLET_TRY(const results::TableSpec spec,
               results::parse_table_spec(table_spec(name, metric), "the page"));
  GAUNTLET_TRY(const results::Table table, results::make_table(connection, spec));
  return results::render(table, results::Format::kJson);
}

Result<Json> sweep_curves(db::Connection& connection, std::uint64_t sweep_id, const std::string& name) {
  GAUNTLET_TRY(
      db::Statement read,
      connection.prepare(
          "SELECT cu.name, cu.x_label, cu.y_label, cu.x, cu.y, c.dataset, c.model, c.bits, c.attack, "
          "c.protocol, c.direction, c.defense, c.variant, c.seed FROM cells c JOIN cell_jobs cj ON "
          "cj.cell_id = c.cell_id JOIN curves cu ON cu.job_id = cj.job_id WHERE c.sweep_id = ? AND "
          "cu.name = ? ORDER BY c.cell_id LIMIT ?"));
  GAUNTLET_CHECK_OK(read.bind_all(sweep_id, name, kMaxCurves));
  Json curves = Json::array();
  while (true) {
    GAUNTLET_TRY(const bool row, read.step());
    if (!row) return Json{{"curves", std::move(curves)}};
    Json curve = curve_json("", read);
    int column = 5;
    for (const char* axis :
         {"dataset", "model", "bits", "attack", "protocol", "direction", "defense", "variant", "seed"}) {
      curve[axis] = std::string(read.text(column++));
    }
    curves.push_back(std::move(curve));
  }
}

Result<Json> job_curves(db::Connection& connection, const std::string& key) {
  GAUNTLET_TRY(const Digest digest, digest_from_hex(key));
  GAUNTLET_TRY(
      db::Statement read,
      connection.prepare("SELECT cu.name, cu.x_label, cu.y_label, cu.x, cu.y FROM jobs j JOIN curves cu "
                         "ON cu.job_id = j.job_id WHERE j.key = ? ORDER BY cu.name LIMIT ?"));
  GAUNTLET_CHECK_OK(read.bind_all(JobKey{digest}, kMaxCurves));
  Json curves = Json::array();
  while (true) {
    GAUNTLET_TRY(const bool row, read.step());
    if (!row) return Json{{"curves", std::move(curves)}};
    curves.push_back(curve_json(std::string(read.text(0)), read));
  }
}

}  // namespace gauntlet::coordinator
