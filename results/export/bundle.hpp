// Work to hand over: cells with their jobs, configs, numbers and curves, as files that people and programs
// read. Thread safety: plain values; functions use the caller's connection and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "core/spec/cell.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::results {

/// The attempt that a done job's numbers are of.
struct BundleAttempt {
  std::string worker;
  std::int64_t started_ms = 0;
  std::int64_t ended_ms = 0;
  double wall_s = 0;
  std::string manifest;     ///< SHA-256, hexadecimal; "" = the job leaves no artifact
  std::string environment;  ///< canonical JSON; "" = none was reported
};

struct BundleJob {
  JobKey key;
  Json form;  ///< canonical form; its canonical text hashes to the key
  std::string title;
  Json resources = Json::object();
  std::vector<JobKey> needs;
  std::string state;
  std::optional<BundleAttempt> attempt;  ///< of done jobs
  std::vector<spec::ResultRow> rows;
  std::vector<spec::Curve> curves;
};

struct BundleCell {
  std::string sweep;
  spec::Cell cell;
  std::vector<std::string> metrics;
  std::vector<std::pair<std::string, JobKey>> jobs;  ///< role, key
};

struct BundleSweep {
  std::string name;
  std::int64_t priority = 0;
  std::string spec_text;  ///< of the newest revision
  std::string spec_path;
  std::string code_revision;
  std::string metrics;
};

struct Bundle {
  std::vector<BundleSweep> sweeps;
  std::vector<BundleCell> cells;
  std::vector<BundleJob> jobs;  ///< every job after the jobs it needs
};

struct BundleSelection {
  std::vector<std::string> sweeps;  ///< empty = all
  std::string where;                ///< over the axes of cells; "" = all
};

/// Reads cells and whatever they need, in one moment of the database. Errors: kNotFound (an unknown sweep, no
/// cell left), kInvalid (a condition that cannot be read).
[[nodiscard]] Result<Bundle> collect(db::Connection& connection, const BundleSelection& selection);

/// File name → content: export.json (what is in it, hashes of the others), sweeps.jsonl, cells.jsonl,
/// jobs.jsonl, rows.csv, sweeps/<n>.yaml. The same bundle gives the same bytes.
[[nodiscard]] std::map<std::string, std::string> files_of(const Bundle& bundle);

/// Reads them back. Errors (kCorrupt): a file is missing or does not match its hash, a line is not what it
/// should be (file and line named), a job's key is not the hash of its text, a job or cell names a job that
/// is not there.
[[nodiscard]] Result<Bundle> bundle_from(const std::map<std::string, std::string>& files);

/// The files that bundle_from reads.
[[nodiscard]] const std::vector<std::string>& bundle_parts();

}  // namespace gauntlet::results
