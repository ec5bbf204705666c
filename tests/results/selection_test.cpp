// What a selection reads equals what plain SQL says, however the cells and jobs it wants lie among others.

#include "results/store/selection.hpp"

#include <gmock/gmock.h>

#include "tests/results/table_support.hpp"

namespace gauntlet::results {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> lines_of(db::Connection& connection, const std::string& sql) {
  auto statement = connection.prepare(sql);
  std::vector<std::string> lines;
  EXPECT_TRUE(statement) << statement.error().message;
  if (!statement) return lines;
  while (*statement->step()) {
    std::string line;
    for (int column = 0; column < statement->column_count(); ++column)
      line += std::string(column > 0 ? " " : "") + std::string(statement->text(column));
    lines.push_back(line);
  }
  return lines;
}

TEST(Selection, IsWhatPlainSqlSays) {
  auto store = testing_support::database_of(testing_support::quickstart_cells());
  db::Connection& connection = store.connection();
  // Far away from the others, so that not all jobs lie in one span.
  for (const char* table : {"jobs", "job_specs", "results", "attempts", "cell_jobs", "needs", "sweep_jobs"}) {
    ASSERT_TRUE(connection.execute(fmt::format(
        "PRAGMA defer_foreign_keys=ON; PRAGMA foreign_keys=OFF; UPDATE {} SET job_id = job_id * 50 WHERE "
        "job_id % 3 = 0",
        table)));
  }
  std::size_t n_filters = 0;
  for (const char* axis : {"defense", "attack", "direction", "seed"}) {
    for (const std::string& value :
         lines_of(connection, fmt::format("SELECT DISTINCT {} FROM cells ORDER BY 1", axis))) {
      SCOPED_TRACE(axis + std::string(" ") + value);
      const auto selected = select_cells(connection, {{axis, {value}}}, {"map"});
      ASSERT_TRUE(selected) << selected.error().message;
      std::vector<std::string> values;
      for (const ValueRow& row : selected->values)
        values.push_back(
            fmt::format("{} {} {} {} {}", row.cell_id, row.job_id, row.metric, row.n, row.revision));
      std::vector<std::string> versions;
      for (const EntryVersion& each : selected->versions)
        versions.push_back(fmt::format("{} {} {}", each.kind, each.entry, each.version));
      const std::string from = fmt::format(
          "FROM cells c JOIN cell_jobs cj USING (cell_id) JOIN jobs j USING (job_id) JOIN job_shapes sh "
          "USING "
          "(shape_id) JOIN job_kinds k USING (kind) LEFT JOIN results r USING (job_id) LEFT JOIN metrics m "
          "USING "
          "(metric_id) LEFT JOIN attempts a ON a.job_id = r.job_id AND a.attempt = r.attempt LEFT JOIN "
          "environments e USING (environment_id) WHERE c.{} = '{}'",
          axis, value);
      EXPECT_THAT(values, Not(IsEmpty()));
      EXPECT_THAT(values, ElementsAreArray(
                              lines_of(connection, "SELECT c.cell_id, j.job_id, m.name, r.n, e.revision " +
                                                       from + " AND m.name = 'map' ORDER BY 1, 3, 2")));
      EXPECT_THAT(versions, ElementsAreArray(lines_of(connection, "SELECT DISTINCT k.name, entry, version " +
                                                                      from + " ORDER BY 1, 2, 3")));
      ++n_filters;
    }
  }
  EXPECT_GE(n_filters, 8U);
}

}  // namespace
}  // namespace gauntlet::results
