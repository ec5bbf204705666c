// A condition as people type it after --where: refused in words, or SQL that SQLite takes.
#include "results/query/where.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/base/check.hpp"
#include "core/db/connection.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

void where(Bytes bytes) {
  static store::JobStore store = *store::JobStore::open_in_memory();
  const auto parsed = results::parse_where(text_of(bytes), results::result_columns());
  static_cast<void>(results::parse_where(text_of(bytes), results::cell_columns()));
  if (!parsed) {
    GAUNTLET_CHECK(!parsed.error().message.empty());
    return;
  }
  auto statement = store.connection().prepare("SELECT count(*) FROM v_results WHERE " + parsed->sql);
  GAUNTLET_CHECK(statement.has_value());
  GAUNTLET_CHECK(results::bind_where(*statement, *parsed).has_value());
}

}  // namespace gauntlet::fuzz
