#include "coordinator/store/verify.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/store/canonical_head.hpp"
#include "coordinator/store/verify_rules.hpp"
#include "core/base/hash.hpp"
#include "core/base/json.hpp"
#include "core/db/connection.hpp"
#include "core/db/snapshot.hpp"

namespace gauntlet::store {
namespace {

/// Calls `take` with every row.
template <class Take>
Status for_each(db::Connection& connection, std::string_view sql, Take take) {
  GAUNTLET_TRY(db::Statement statement, connection.prepare(sql));
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return {};
    GAUNTLET_CHECK_OK(take(statement));
  }
}

std::string subject_of(const JobKey& key) { return "job " + key.brief(); }

/// Inputs named in a canonical text, sorted; nothing when it names none in the usual form.
std::optional<std::vector<std::string>> inputs_in(std::string_view canonical) {
  if (canonical.find("\"inputs\"") == std::string_view::npos) return std::nullopt;
  const Json form = Json::parse(canonical, nullptr, false);
  if (!form.is_object() || !form.contains("inputs") || !form["inputs"].is_object()) return std::nullopt;
  std::vector<std::string> keys;
  for (const auto& [role, key] : form["inputs"].items()) {
    if (!key.is_string()) return std::nullopt;
    keys.push_back(key.get<std::string>());
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

class TextChecker {
 public:
  explicit TextChecker(std::vector<Finding>& findings) : findings_(findings) {}

  Status check(db::Connection& connection) {
    GAUNTLET_CHECK_OK(for_each(
        connection,
        "SELECT j.key, p.canonical, h.kind, h.entry, h.version, (SELECT group_concat(lower(hex(n.key)), ' ') "
        "FROM needs e JOIN jobs n ON n.job_id = e.needs_job_id WHERE e.job_id = j.job_id) FROM jobs j JOIN "
        "job_specs p ON p.job_id = j.job_id JOIN job_shapes h ON h.shape_id = j.shape_id",
        [&](const db::Statement& row) { return check_job(row); }));
    GAUNTLET_CHECK_OK(
        for_each(connection,
                 "SELECT s.name, r.revision, r.spec_hash, r.spec_text FROM spec_revisions r "
                 "JOIN sweeps s ON s.sweep_id = r.sweep_id",
                 [&](const db::Statement& row) -> Status {
                   if (row.key(2).digest == sha256(row.text(3))) return {};
                   add(fmt::format("sweep {}", row.text(0)),
                       fmt::format("has a text of revision {} that does not match its hash", row.integer(1)));
                   return {};
                 }));
    return for_each(connection, "SELECT environment_id, hash, document FROM environments",
                    [&](const db::Statement& row) -> Status {
                      if (row.key(1).digest == sha256(row.text(2))) return {};
                      add(fmt::format("environment {}", row.integer(0)),
                          "has a document that does not match its hash");
                      return {};
                    });
  }

 private:
  Status check_job(const db::Statement& row) {
    const JobKey key = row.key(0);
    const std::string_view canonical = row.text(1);
    const JobKey hashed{sha256(canonical)};
    if (hashed != key) {
      add(subject_of(key), fmt::format("has a text whose hash is {}", hashed.brief()));
      return {};
    }
    const Result<CanonicalHead> head = read_canonical_head(canonical);
    if (!head) {
      add(subject_of(key), fmt::format("has a text that cannot be read: {}", head.error().message));
      return {};
    }
    if (head->kind != row.integer(2) || head->entry != row.text(3) || head->version != row.integer(4)) {
      add(subject_of(key),
          fmt::format("is placed as kind {}, entry '{}', version {}; its text says {}, '{}', {}",
                      row.integer(2), row.text(3), row.integer(4), head->kind, head->entry, head->version));
    }
    // Most jobs of a big sweep need nothing and say so; they are not worth a parse.
    if (row.is_null(5) && canonical.find("\"inputs\":{}") != std::string_view::npos) return {};
    const std::optional<std::vector<std::string>> inputs = inputs_in(canonical);
    if (inputs && *inputs != needs_in(row.text(5))) {
      add(subject_of(key), fmt::format("needs other jobs ({}) than its text names as inputs ({})",
                                       brief_list(needs_in(row.text(5))), brief_list(*inputs)));
    }
    return {};
  }

  static std::vector<std::string> needs_in(std::string_view joined) {
    std::vector<std::string> keys;
    for (std::size_t at = 0; at + 64 <= joined.size(); at += 65) keys.emplace_back(joined.substr(at, 64));
    std::sort(keys.begin(), keys.end());
    return keys;
  }

  static std::string brief_list(const std::vector<std::string>& keys) {
    std::vector<std::string> brief;
    brief.reserve(keys.size());
    for (const std::string& key : keys) brief.push_back(key.substr(0, 12));
    return brief.empty() ? "none" : fmt::format("{}", fmt::join(brief, ", "));
  }

  void add(std::string subject, std::string message) {
    findings_.push_back({"texts", std::move(subject), std::move(message)});
  }

  std::vector<Finding>& findings_;
};

// The last time `gauntlet gc` freed the job's artifact, or NULL.
constexpr const char* kArtifacts =
    "SELECT j.job_id, j.key, h.kind, p.title, a.attempt, lower(hex(a.manifest)), a.ended_ms, "
    "coalesce(a.wall_s, 0) FROM jobs j JOIN job_shapes h ON h.shape_id = j.shape_id JOIN job_specs p ON "
    "p.job_id = j.job_id JOIN attempts a ON a.job_id = j.job_id AND a.attempt = j.attempt LEFT JOIN (SELECT "
    "job_id, max(at_ms) AS at_ms FROM events WHERE kind = 'freed' GROUP BY job_id) f ON f.job_id = j.job_id "
    "WHERE j.state = 3 AND a.manifest IS NOT NULL AND coalesce(f.at_ms, -1) < a.ended_ms";

}  // namespace

Result<std::vector<Finding>> check_file(db::Connection& connection) {
  std::vector<Finding> findings;
  const auto add = [&](const char* check, std::string subject, std::string message) -> Status {
    findings.push_back({check, std::move(subject), std::move(message)});
    return {};
  };
  const Status read = for_each(connection, "PRAGMA integrity_check(1000)", [&](const db::Statement& row) {
    return row.text(0) == "ok" ? Status{} : add("sqlite", "the file", std::string(row.text(0)));
  });
  // A file so broken that the check itself cannot read on.
  if (!read && read.error().code == ErrorCode::kCorrupt) {
    GAUNTLET_CHECK_OK(add("sqlite", "the file", read.error().message));
    return findings;
  }
  GAUNTLET_CHECK_OK(read);
  GAUNTLET_CHECK_OK(for_each(connection, "PRAGMA foreign_key_check", [&](const db::Statement& row) {
    const std::string where = row.is_null(1) ? std::string("a row") : fmt::format("row {}", row.integer(1));
    return add("foreign keys", fmt::format("table {}", row.text(0)),
               fmt::format("has {} that refers to {}, where there is nothing", where, row.text(2)));
  }));
  return findings;
}

Result<std::vector<Finding>> check_invariants(db::Connection& connection) {
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(connection));
  std::vector<Finding> findings;
  for (const VerifyRule& rule : verify_rules()) {
    GAUNTLET_CHECK_OK(for_each(connection, sql_of(rule), [&](const db::Statement& row) -> Status {
      findings.push_back({std::string(rule.check), std::string(row.text(0)), std::string(row.text(1))});
      return {};
    }));
  }
  GAUNTLET_CHECK_OK(TextChecker(findings).check(connection));
  return findings;
}

Result<DatabaseCounts> count_rows(db::Connection& connection) {
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(connection));
  DatabaseCounts counts;
  GAUNTLET_TRY(counts.sweeps, connection.integer("SELECT count(*) FROM sweeps"));
  GAUNTLET_TRY(counts.cells, connection.integer("SELECT count(*) FROM cells"));
  GAUNTLET_TRY(counts.jobs, connection.integer("SELECT count(*) FROM jobs"));
  GAUNTLET_TRY(counts.attempts, connection.integer("SELECT count(*) FROM attempts"));
  GAUNTLET_TRY(counts.numbers, connection.integer("SELECT count(*) FROM results"));
  return counts;
}

Status for_each_artifact(db::Connection& connection, const std::function<Status(DoneArtifact)>& take) {
  return for_each(connection, kArtifacts, [&](const db::Statement& row) {
    DoneArtifact artifact;
    artifact.job = JobId{static_cast<std::uint64_t>(row.integer(0))};
    artifact.key = row.key(1);
    artifact.kind = static_cast<spec::JobKind>(row.integer(2));
    artifact.title = row.text(3);
    artifact.attempt = AttemptNo{static_cast<std::uint64_t>(row.integer(4))};
    artifact.manifest = row.text(5);
    artifact.ended_ms = row.integer(6);
    artifact.wall_s = row.real(7);
    return take(std::move(artifact));
  });
}

Result<bool> is_still_done(db::Connection& connection, const DoneArtifact& artifact) {
  GAUNTLET_TRY(db::Statement statement, connection.prepare(fmt::format("{} AND j.job_id = ?", kArtifacts)));
  GAUNTLET_CHECK_OK(statement.bind_all(artifact.job));
  GAUNTLET_TRY(const bool row, statement.step());
  return row && statement.integer(4) == static_cast<std::int64_t>(artifact.attempt.value);
}

Result<std::vector<JobKey>> all_keys(db::Connection& connection) {
  std::vector<JobKey> keys;
  GAUNTLET_CHECK_OK(
      for_each(connection, "SELECT key FROM jobs ORDER BY key", [&](const db::Statement& row) -> Status {
        keys.push_back(row.key(0));
        return {};
      }));
  return keys;
}

}  // namespace gauntlet::store
