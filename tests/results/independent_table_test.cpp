// A table equals what pandas and scipy make of the exported rows (table_check.py).
#include <gmock/gmock.h>

#include "core/base/random.hpp"
#include "results/query/query.hpp"
#include "tests/results/table_support.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

using testing::HasSubstr;
using testing_support::simple_cell;
using testing_support::spec_of;
using testing_support::SyntheticCell;

const std::map<std::string, std::string> kPython = {{"PYTHONPATH", GAUNTLET_SOURCE_DIR "/.deps/python"},
                                                    {"OPENBLAS_NUM_THREADS", "1"},
                                                    {"PATH", "/usr/bin:/bin"}};

// Queries of a defense: the undefended ones moved a little, by chance; `n_moved` of them.
std::vector<float> moved(std::vector<float> queries, double by, std::size_t n_moved, RandomStream& stream) {
  for (std::size_t i = 0; i < std::min(n_moved, queries.size()); ++i) {
    queries[i] += static_cast<float>(by + 0.2 * (stream.uniform() - 0.5));
  }
  return queries;
}

SyntheticCell cell(const std::string& defense, const std::string& attack, const std::string& direction,
                   std::uint64_t seed, const std::vector<float>& queries) {
  double sum = 0;
  for (const float value : queries) sum += static_cast<double>(value);
  SyntheticCell item = simple_cell(defense, sum / static_cast<double>(queries.size()));
  item.cell.attack = attack;
  item.cell.protocol = attack == "none" ? "none" : "static";
  item.cell.direction = direction;
  item.cell.seed = seed;
  item.rows->front().per_query = queries;
  return item;
}

// Large and small, moved and unmoved, with a seed more or less.
std::vector<SyntheticCell> cells_of(std::uint64_t seed_of_numbers) {
  RandomStream stream = RandomStream::of(seed_of_numbers, 0, 0);
  std::vector<SyntheticCell> cells;
  for (const std::string attack : {"none", "pgd"}) {
    for (const std::string direction : {"i2t", "t2i"}) {
      for (std::uint64_t seed = 1; seed <= (direction == "i2t" ? 3U : 1U); ++seed) {
        std::vector<float> queries(attack == "none" ? 150 : 9 + seed);
        for (float& value : queries) value = static_cast<float>(stream.uniform());
        cells.push_back(cell("none", attack, direction, seed, queries));
        for (const auto& [defense, by] : {std::pair{"a", 0.0}, std::pair{"b", 0.01}, std::pair{"c", 0.08}}) {
          const std::size_t n_moved = attack == "none" ? queries.size() : 4;
          cells.push_back(cell(defense, attack, direction, seed, moved(queries, by, n_moved, stream)));
        }
      }
    }
  }
  return cells;
}

class IndependentTable : public testing::TestWithParam<std::uint64_t> {};

TEST_P(IndependentTable, EqualsPandasAndScipy) {
  const testing_support::TempFolder folder;
  const testing_support::Finished python =
      testing_support::run({"/usr/bin/python3", "-c", "import pandas, scipy.stats"}, folder.path(), kPython);
  if (python.exit_code != 0) {
    GTEST_SKIP()
        << "no pandas and scipy for /usr/bin/python3 here; ./dev test --full puts them into .deps/python";
  }
  auto store = *store::JobStore::open(folder / "gauntlet.db");
  fill_database(store, "numbers", cells_of(GetParam()));
  const auto rows =
      run_query(folder / "gauntlet.db",
                "SELECT v.dataset, v.model, v.bits, v.defense, v.attack, v.direction, v.seed, v.value, "
                "q.per_query FROM v_results v JOIN jobs j ON lower(hex(j.key)) = v.job_key "
                "JOIN result_queries q ON q.job_id = j.job_id",
                {.format = OutputFormat::kCsv});
  ASSERT_TRUE(rows) << rows.error().message;
  const auto table =
      make_table(store.connection(), spec_of("metric: map\nrows: [attack, defense]\ncolumns: [direction]\n"
                                             "significance: {against: {defense: none}}\ninterval: 0.95\n"));
  ASSERT_TRUE(table) << table.error().message;
  folder.write("rows.csv", *rows);
  folder.write("table.csv", render(*table, Format::kCsv));
  const testing_support::Finished checked =
      testing_support::run({"/usr/bin/python3", GAUNTLET_SOURCE_DIR "/tests/results/table_check.py",
                            "rows.csv", "table.csv", "none"},
                           folder.path(), kPython);
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err << render(*table, Format::kCsv);
  EXPECT_THAT(checked.out, HasSubstr("16 means, deviations and intervals, 12 p-values compared; 0 differ"));
}

INSTANTIATE_TEST_SUITE_P(Numbers, IndependentTable, testing::Values(1, 2));

}  // namespace
}  // namespace gauntlet::results
