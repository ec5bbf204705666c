#include "core/db/migrate.hpp"

#include "core/db/transaction.hpp"

namespace gauntlet::db {
namespace {

Status refuse_newer(const Connection& connection, std::int64_t version, std::int64_t newest) {
  if (version <= newest) return {};
  return fail(ErrorCode::kRefused,
              "database {} has version {}, but this program knows versions up to {}; use a newer gauntlet",
              connection.path(), version, newest);
}

Result<bool> is_empty(Connection& connection) {
  GAUNTLET_TRY(const std::int64_t n_objects, connection.integer("SELECT count(*) FROM sqlite_schema"));
  GAUNTLET_TRY(const std::int64_t version, connection.integer("PRAGMA user_version"));
  return n_objects == 0 && version == 0;
}

Status check_owner(Connection& connection) {
  GAUNTLET_TRY(const std::int64_t id, connection.integer("PRAGMA application_id"));
  if (id == kApplicationId) return {};
  return fail(ErrorCode::kCorrupt, "{} is not a Gauntlet database: it belongs to another program",
              connection.path());
}

Status apply(Connection& connection, const Migration& step) {
  GAUNTLET_TRY(Transaction transaction, Transaction::begin(connection));
  // Another program may have come first while this one waited for the lock.
  GAUNTLET_TRY(const std::int64_t version, connection.integer("PRAGMA user_version"));
  if (version >= step.number) return {};
  Status status = connection.execute(std::string(step.sql));
  if (!status) return fail(status.error().code, "migration {}: {}", step.file, status.error().message);
  GAUNTLET_CHECK_OK(connection.execute(
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={};", kApplicationId, step.number)));
  return transaction.commit();
}

}  // namespace

Status migrate(Connection& connection, std::span<const Migration> steps) {
  GAUNTLET_TRY(const bool empty, is_empty(connection));
  if (!empty) GAUNTLET_CHECK_OK(check_owner(connection));
  GAUNTLET_TRY(const std::int64_t version, connection.integer("PRAGMA user_version"));
  GAUNTLET_CHECK_OK(refuse_newer(connection, version, steps.empty() ? 0 : steps.back().number));
  for (const Migration& step : steps) {
    if (step.number > version) GAUNTLET_CHECK_OK(apply(connection, step));
  }
  return {};
}

Status check_version(Connection& connection, std::span<const Migration> steps) {
  GAUNTLET_CHECK_OK(check_owner(connection));
  GAUNTLET_TRY(const std::int64_t version, connection.integer("PRAGMA user_version"));
  const std::int64_t newest = steps.empty() ? 0 : steps.back().number;
  GAUNTLET_CHECK_OK(refuse_newer(connection, version, newest));
  if (version == newest) return {};
  return fail(
      ErrorCode::kRefused,
      "database {} has version {}, older than this program's {}; any command that starts a coordinator on it "
      "brings it up to date",
      connection.path(), version, newest);
}

}  // namespace gauntlet::db
