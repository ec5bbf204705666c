#include "results/query/query.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "core/base/json.hpp"
#include "core/db/connection.hpp"
#include "results/query/text_table.hpp"
#include "results/query/where.hpp"
#include "tests/results/golden.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class Query : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              fmt::format("gauntlet-query-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    path_ = folder_ / "gauntlet.db";
    store::JobStore store = *store::JobStore::open(path_);
    testing_support::fill_database(store, "quickstart", testing_support::quickstart_cells());
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string run(const std::string& sql, OutputFormat format = OutputFormat::kTable) const {
    QueryOptions options;
    options.format = format;
    const auto text = run_query(path_, sql, options);
    return text ? *text : "error: " + text.error().message;
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(Query, ResultsHaveTheColumnsOfTheContract) {
  EXPECT_THAT(run("SELECT * FROM v_results LIMIT 0", OutputFormat::kCsv),
              "sweep,dataset,model,bits,defense,attack,protocol,direction,variant,seed,metric,value,n,unit,"
              "higher_is_better,job_key,attempt,created_at,revision,versions,device\n");
  const Json document = Json::parse(run("SELECT count(*) AS n FROM v_results", OutputFormat::kJson));
  EXPECT_EQ(document, Json::parse(R"({"format":1,"columns":["n"],"rows":[[64]]})"));
}

TEST_F(Query, EveryViewCanBeRead) {
  for (const char* view : {"v_results", "v_jobs", "v_attempts", "v_curves", "v_missing", "v_cells"}) {
    EXPECT_THAT(run(fmt::format("SELECT count(*) FROM {}", view)), StartsWith("count(*)")) << view;
  }
  EXPECT_EQ(run("SELECT count(*) FROM v_missing", OutputFormat::kCsv), "count(*)\n0\n");
}

TEST_F(Query, TheReferenceExplainsEveryColumnWhereItsViewIs) {
  const auto page = read_file(fs::path(GAUNTLET_SOURCE_DIR) / "docs" / "database.md");
  ASSERT_TRUE(page);
  const auto section = [&](const std::string& view) {
    const std::size_t start = page->find("### `" + view + "`");
    return start == std::string::npos ? "" : page->substr(start, page->find("\n##", start + 1) - start);
  };
  const std::vector<std::string> axes = {"sweep",  "dataset",  "model",     "bits",    "defense",
                                         "attack", "protocol", "direction", "variant", "seed"};
  for (const char* view : {"v_results", "v_jobs", "v_attempts", "v_curves", "v_missing", "v_cells"}) {
    const std::string text = section(view);
    const bool names_axes = text.find("cell's columns") != std::string::npos;
    std::istringstream columns(run(fmt::format("SELECT * FROM {} LIMIT 0", view), OutputFormat::kCsv));
    int n_columns = 0;
    for (std::string column; std::getline(columns, column, ','); ++n_columns) {
      if (column.back() == '\n') column.pop_back();
      if (names_axes && std::find(axes.begin(), axes.end(), column) != axes.end()) continue;
      EXPECT_THAT(text, HasSubstr("`" + column + "`")) << view;
    }
    EXPECT_GE(n_columns, 15) << view;
  }
}

TEST_F(Query, ShowsValuesInEveryFormat) {
  const std::string sql = "SELECT 1 AS a, 0.5 AS \"b,c\", 'x|\"y\"' AS t, NULL AS n, x'00ff' AS blob";
  EXPECT_EQ(run(sql), "a  b,c  t      n  blob\n-  ---  -----  -  ----\n1  0.5  x|\"y\"     00ff\n");
  EXPECT_EQ(run(sql, OutputFormat::kCsv), "a,\"b,c\",t,n,blob\n1,0.5,\"x|\"\"y\"\"\",,00ff\n");
  EXPECT_EQ(run(sql, OutputFormat::kJsonl),
            "{\"a\":1,\"b,c\":0.5,\"t\":\"x|\\\"y\\\"\",\"n\":null,\"blob\":\"00ff\"}\n");
  EXPECT_EQ(
      run(sql, OutputFormat::kMarkdown),
      "| a | b,c | t | n | blob |\n| --- | --- | --- | --- | --- |\n| 1 | 0.5 | x\\|\"y\" |  | 00ff |\n");
  EXPECT_EQ(run("SELECT char(27) || 'x' || char(10) AS t"), "t\n-------\n\\x1bx\\n\n");
}

TEST_F(Query, RealRowsLookAsTheyDidInEveryFormat) {
  const std::string sql =
      "SELECT dataset, attack, defense, variant, direction, count(*) AS seeds, round(avg(value), 4) AS map, "
      "unit, min(revision) AS revision FROM v_results WHERE metric = 'map' GROUP BY 1, 2, 3, 4, 5";
  const std::pair<const char*, OutputFormat> formats[] = {{"txt", OutputFormat::kTable},
                                                          {"csv", OutputFormat::kCsv},
                                                          {"json", OutputFormat::kJson},
                                                          {"jsonl", OutputFormat::kJsonl},
                                                          {"md", OutputFormat::kMarkdown}};
  for (const auto& [suffix, format] : formats) {
    testing_support::expect_golden(fmt::format("query/quickstart.{}", suffix), run(sql, format));
  }
}

TEST_F(Query, PagesAreTheWholeInPieces) {
  QueryOptions options;
  options.format = OutputFormat::kJsonl;
  const auto whole = run_where(path_, "metric = map", options);
  ASSERT_TRUE(whole) << whole.error().message;
  std::string joined;
  options.limit = 10;
  QueryEnd end{.n_rows = 0, .more = true};
  int n_pages = 0;
  for (; end.more; ++n_pages) {
    const auto page = run_where(path_, "metric = map", options, &end);
    ASSERT_TRUE(page) << page.error().message;
    joined += *page;
    options.offset += end.n_rows;
  }
  EXPECT_EQ(joined, *whole);
  EXPECT_EQ(n_pages, 4);  // 32 rows
  EXPECT_EQ(end.n_rows, 2U);

  options = {.format = OutputFormat::kJson, .offset = 1, .limit = 1};
  EXPECT_EQ(*run_query(path_, "VALUES (1), (2), (3)", options),
            "{\"format\":1,\"columns\":[\"column1\"],\"rows\":[[2]],\"next_offset\":2}\n");
  options.offset = 2;
  EXPECT_EQ(*run_query(path_, "VALUES (1), (2), (3)", options),
            "{\"format\":1,\"columns\":[\"column1\"],\"rows\":[[3]]}\n");
}

TEST_F(Query, ADatabaseOfAnOlderShapeIsExplained) {
  {
    store::JobStore store = *store::JobStore::open(path_);
    ASSERT_TRUE(store.connection().execute("PRAGMA user_version = 1"));
  }
  const auto answer = run_query(path_, "SELECT 1", {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kRefused);
  EXPECT_THAT(answer.error().message,
              AllOf(HasSubstr(path_.string()), HasSubstr("has version 1, older than this program's"),
                    HasSubstr("brings it up to date")));
}

TEST_F(Query, RefusesEverythingThatIsNotReading) {
  for (const char* sql :
       {"DELETE FROM results", "INSERT INTO counters VALUES ('x', 1)", "DROP VIEW v_jobs",
        "CREATE TEMP TABLE t (x)", "ATTACH 'other.db' AS other", "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE", "PRAGMA query_only = 0", "PRAGMA writable_schema = 1", "VACUUM",
        "VACUUM INTO 'copy.db'", "BEGIN IMMEDIATE", "REINDEX", "SELECT load_extension('x')",
        "UPDATE jobs SET state = 3", "PRAGMA wal_checkpoint"}) {
    QueryOptions options;
    const auto answer = run_query(path_, sql, options);
    ASSERT_FALSE(answer) << sql;
    EXPECT_EQ(answer.error().code, ErrorCode::kRefused) << sql << ": " << answer.error().message;
    EXPECT_THAT(answer.error().message, HasSubstr("queries may only read")) << sql;
  }
  EXPECT_THAT(run("SELECT 1; DELETE FROM jobs"), HasSubstr("one SQL statement is allowed"));
  EXPECT_THAT(run("PRAGMA table_info(jobs)"), HasSubstr("shape_id"));
  EXPECT_THAT(run("EXPLAIN QUERY PLAN SELECT * FROM jobs"), HasSubstr("SCAN jobs"));
}

TEST_F(Query, NamesMistakesInTheSql) {
  EXPECT_THAT(run("SELECT valu FROM v_results"), HasSubstr("no such column: valu"));
  EXPECT_THAT(run("SELEC 1"), HasSubstr("syntax error"));
  EXPECT_THAT(run("SELECT ?"), HasSubstr("?"));
}

TEST_F(Query, StopsAtTheTimeLimitAndTheSizeLimit) {
  QueryOptions options;
  options.time_limit_s = 0.05;
  const auto late = run_query(
      path_, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n", options);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimedOut);
  EXPECT_THAT(late.error().message, HasSubstr("the query was stopped after"));
  options.time_limit_s = 60;
  options.max_bytes = 1000;
  const auto large = run_query(
      path_, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", options);
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("take it in pages"));
}

TEST_F(Query, AMissingDatabaseIsNamed) {
  const auto answer = run_query(folder_ / "absent.db", "SELECT 1", {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(answer.error().message, HasSubstr("absent.db"));
}

TEST_F(Query, ReadsWhileACoordinatorWrites) {
  store::JobStore store = *store::JobStore::open(path_);
  ASSERT_TRUE(store.connection().execute("BEGIN IMMEDIATE"));
  EXPECT_EQ(run("SELECT count(*) FROM sweeps", OutputFormat::kCsv), "count(*)\n1\n");
  ASSERT_TRUE(store.connection().execute("ROLLBACK"));
}

TEST_F(Query, TheShortFormSelectsResults) {
  QueryOptions options;
  options.format = OutputFormat::kCsv;
  const auto rows = run_where(
      path_, "defense='drfgd' and bits=32 and metric = map and seed in (1) and direction==i2t", options);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(std::count(rows->begin(), rows->end(), '\n'), 5);  // heading, clean, PGD, its ablation, adaptive
}

TEST(Where, BecomesSqlWithoutAnythingThatWasTyped) {
  const auto where =
      parse_where("dataset=picto AND (attack != 'PGD ''x''' or not bits >= 16)", cell_columns());
  ASSERT_TRUE(where) << where.error().message;
  EXPECT_EQ(where->sql, "dataset=? AND (attack<>? OR NOT bits>=?)");
  EXPECT_EQ(std::get<std::string>(where->values[1]), "PGD 'x'");
  EXPECT_EQ(std::get<double>(where->values[2]), 16);
  EXPECT_EQ(parse_where("variant = \"a/w/o L\"", cell_columns())->values.size(), 1U);
  EXPECT_EQ(parse_where("metric in (map, map@50:first_relevant)", result_columns())->sql, "metric IN (?,?)");
}

TEST(Where, NamesTheMistakeAndItsPlace) {
  const auto message = [](const std::string& text) {
    const auto where = parse_where(text, cell_columns());
    return where ? "accepted: " + where->sql : where.error().message;
  };
  EXPECT_THAT(message("datasett=x"), AllOf(HasSubstr("character 1"), HasSubstr("did you mean 'dataset'")));
  EXPECT_THAT(message("bits=many"), HasSubstr("bits is a number, but character 6 says 'many'"));
  EXPECT_THAT(message("dataset=x and"), HasSubstr("a column is missing at the end"));
  EXPECT_THAT(message("dataset x"), HasSubstr("character 9 must be one of ="));
  EXPECT_THAT(message("dataset='x"), HasSubstr("quote at character 9 is never closed"));
  EXPECT_THAT(message("dataset=x; drop"), HasSubstr("character 10 is ';'"));
  EXPECT_THAT(message("dataset=x dataset=y"), HasSubstr("'and', 'or' or the end"));
  EXPECT_THAT(message("(dataset=x"), HasSubstr("')' is missing at the end"));
  EXPECT_THAT(message(""), HasSubstr("a column is missing"));
  EXPECT_THAT(message(std::string(500, '(')), HasSubstr("nests more than"));
}

TEST(TextTable, CountsCharactersNotBytes) {
  EXPECT_EQ(display_width("±–x"), 3U);
  EXPECT_EQ(pad("±", 3, true), "  ±");
}

}  // namespace
}  // namespace gauntlet::results
