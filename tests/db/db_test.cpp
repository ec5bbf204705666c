#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "core/base/files.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"
#include "core/db/transaction.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::db {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Database : public testing::Test {
 protected:
  testing_support::TempFolder folder_;
  fs::path path_ = folder_ / "gauntlet.db";
};

constexpr Migration kFirst[] = {
    {1, "001_first.sql", "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT);"}};
constexpr Migration kSecond[] = {kFirst[0],
                                 {2, "002_second.sql", "ALTER TABLE things ADD COLUMN size INTEGER;"}};

TEST(Statement, BindsByNameAndReadsTypedColumns) {
  Connection connection = *Connection::open_in_memory();
  Statement statement = *connection.prepare("SELECT :a, :b, :c, :d, :e");
  const std::string blob("\0\1", 2);
  ASSERT_TRUE(statement.bind("a", 7));
  ASSERT_TRUE(statement.bind("b", 0.5));
  ASSERT_TRUE(statement.bind("c", "text"));
  ASSERT_TRUE(statement.bind("d", std::as_bytes(std::span(blob))));
  ASSERT_TRUE(statement.bind("e", nullptr));
  ASSERT_TRUE(*statement.step());
  EXPECT_EQ(statement.integer(0), 7);
  EXPECT_EQ(statement.real(1), 0.5);
  EXPECT_EQ(statement.text(2), "text");
  EXPECT_EQ(statement.blob(3).size(), 2U);
  EXPECT_TRUE(statement.is_null(4));
  EXPECT_FALSE(*statement.step());
}

TEST(Statement, NamesAParameterThatItDoesNotHave) {
  Connection connection = *Connection::open_in_memory();
  Statement statement = *connection.prepare("SELECT :bits");
  const Status status = statement.bind("bit", 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(status.error().message, AllOf(HasSubstr("'bit'"), HasSubstr("SELECT :bits")));
  const Status count = statement.bind_all(1, 2);
  ASSERT_FALSE(count);
  EXPECT_THAT(count.error().message, HasSubstr("has 1 parameters, not 2"));
}

TEST(Statement, EmptyTextsAndBlobsAreNotNull) {
  Connection connection = *Connection::open_in_memory();
  Statement statement = *connection.prepare("SELECT typeof(?), typeof(?)");
  ASSERT_TRUE(statement.bind_all(std::string_view(), std::span<const std::byte>()));
  ASSERT_TRUE(*statement.step());
  EXPECT_EQ(statement.text(0), "text");
  EXPECT_EQ(statement.text(1), "blob");
}

TEST(Connection, RefusesTwoStatementsAndNone) {
  Connection connection = *Connection::open_in_memory();
  EXPECT_TRUE(connection.prepare("SELECT 1; -- done"));
  EXPECT_THAT(connection.prepare("SELECT 1; SELECT 2").error().message, HasSubstr("more follows"));
  EXPECT_THAT(connection.prepare("  ").error().message, HasSubstr("no SQL statement"));
  EXPECT_EQ(connection.prepare("SELEC 1").error().code, ErrorCode::kInvalid);
}

TEST(Connection, KeepsCachedStatementsByText) {
  Connection connection = *Connection::open_in_memory();
  Statement* first = *connection.cached("SELECT 1");
  EXPECT_EQ(first, *connection.cached(std::string("SELECT ") + "1"));
}

TEST_F(Database, OpensInWalModeAndSyncsEveryCommit) {
  Connection connection = *Connection::open_read_write(path_);
  EXPECT_EQ(*connection.text("PRAGMA journal_mode"), "wal");
  EXPECT_EQ(*connection.integer("PRAGMA synchronous"), 2);
  EXPECT_EQ(*connection.integer("PRAGMA foreign_keys"), 1);
}

TEST_F(Database, TransactionsRollBackUnlessCommitted) {
  Connection connection = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(connection, kFirst));
  {
    Transaction transaction = *Transaction::begin(connection);
    ASSERT_TRUE(connection.execute("INSERT INTO things VALUES (1, 'lost')"));
  }
  EXPECT_EQ(*connection.integer("SELECT count(*) FROM things"), 0);
  Transaction transaction = *Transaction::begin(connection);
  ASSERT_TRUE(connection.execute("INSERT INTO things VALUES (1, 'kept')"));
  ASSERT_TRUE(transaction.commit());
  EXPECT_EQ(*connection.integer("SELECT count(*) FROM things"), 1);
}

TEST_F(Database, ALockedDatabaseIsRefusedWithItsPath) {
  Connection holder = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(holder, kFirst));
  Transaction transaction = *Transaction::begin(holder);
  Connection other = *Connection::open_read_write(path_, 0);
  const auto refused = Transaction::begin(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("is locked by another program"), HasSubstr(path_.string())));
}

TEST_F(Database, AFullDiskIsNoSpaceAndKeepsTheOldState) {
  Connection connection = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(connection, kFirst));
  ASSERT_TRUE(connection.execute("INSERT INTO things VALUES (1, 'kept'); PRAGMA max_page_count=4;"));
  Transaction transaction = *Transaction::begin(connection);
  const Status status = connection.execute("INSERT INTO things VALUES (2, hex(zeroblob(100000)))");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(status.error().message, HasSubstr("no space left for database " + path_.string()));
  EXPECT_FALSE(transaction.commit());
  EXPECT_EQ(*connection.integer("SELECT count(*) FROM things"), 1);
}

TEST_F(Database, GarbageIsNotAGauntletDatabase) {
  std::ofstream(path_) << std::string(5000, 'x');
  const auto opened = Connection::open_read_write(path_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().message, HasSubstr("is not a Gauntlet database"));
  EXPECT_EQ(fs::file_size(path_), 5000U);
}

TEST_F(Database, AHalfWrittenFileIsDamaged) {
  {
    Connection connection = *Connection::open_read_write(path_);
    ASSERT_TRUE(migrate(connection));
  }
  fs::resize_file(path_, fs::file_size(path_) / 2);
  auto opened = Connection::open_read_write(path_);
  const Status status = opened ? migrate(*opened) : Status(fail(opened.error()));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(status.error().message, HasSubstr("damaged"));
}

TEST_F(Database, AnotherProgramsDatabaseIsLeftAlone) {
  {
    Connection connection = *Connection::open_read_write(path_);
    ASSERT_TRUE(connection.execute("CREATE TABLE mine (x)"));
  }
  Connection connection = *Connection::open_read_write(path_);
  const Status status = migrate(connection);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(status.error().message, HasSubstr("belongs to another program"));
}

TEST_F(Database, AMissingFolderNamesThePath) {
  const auto opened = Connection::open_read_write(folder_ / "absent" / "gauntlet.db");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kIo);
  EXPECT_THAT(opened.error().message,
              AllOf(HasSubstr("cannot open database"), HasSubstr("absent/gauntlet.db")));
  EXPECT_EQ(Connection::open_read_only(path_).error().code, ErrorCode::kNotFound);
}

// Runs `check` as a user whom file permissions bind; its answer, or -1 where the user cannot be changed.
template <class Check>
int as_nobody(Check check) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(255);
    ::_exit(check());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

TEST_F(Database, AReadOnlyFolderCanBeReadButNotWritten) {
  {
    Connection connection = *Connection::open_read_write(path_);
    ASSERT_TRUE(migrate(connection));
  }
  fs::permissions(path_, static_cast<fs::perms>(0444));
  fs::permissions(folder_.path(), static_cast<fs::perms>(0555));
  const int answer = as_nobody([&] {
    const auto writer = Connection::open_read_write(path_);
    if (writer || writer.error().code != ErrorCode::kIo) return 1;
    if (writer.error().message.find("read-only") == std::string::npos) return 2;
    auto reader = Connection::open_read_only(path_);
    if (!reader) return 3;
    return reader->integer("SELECT count(*) FROM job_states").value_or(0) == 7 ? 0 : 4;
  });
  fs::permissions(folder_.path(), static_cast<fs::perms>(0755));
  if (answer < 0) GTEST_SKIP() << "cannot become another user here";
  EXPECT_EQ(answer, 0);
}

TEST_F(Database, ReadersCannotWrite) {
  Connection writer = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(writer, kFirst));
  Connection reader = *Connection::open_read_only(path_);
  const Status status = reader.execute("INSERT INTO things VALUES (1, 'x')");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
}

TEST_F(Database, MigrationsRunOnceEachAndInOrder) {
  Connection connection = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(connection, kFirst));
  ASSERT_TRUE(connection.execute("INSERT INTO things VALUES (1, 'old')"));
  ASSERT_TRUE(migrate(connection, kSecond));
  ASSERT_TRUE(migrate(connection, kSecond));
  EXPECT_EQ(*connection.integer("PRAGMA user_version"), 2);
  EXPECT_EQ(*connection.text("SELECT name FROM things WHERE size IS NULL"), "old");
}

TEST_F(Database, AFailedMigrationLeavesTheOldVersion) {
  Connection connection = *Connection::open_read_write(path_);
  ASSERT_TRUE(migrate(connection, kFirst));
  constexpr Migration kBroken[] = {kFirst[0],
                                   {2, "002_broken.sql", "CREATE TABLE half (x); CREATE TABLE oops ("}};
  const Status status = migrate(connection, kBroken);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("migration 002_broken.sql"));
  EXPECT_EQ(*connection.integer("PRAGMA user_version"), 1);
  EXPECT_EQ(*connection.integer("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
}

TEST_F(Database, ANewerDatabaseIsRefusedWithBothNumbers) {
  {
    Connection connection = *Connection::open_read_write(path_);
    ASSERT_TRUE(migrate(connection, kSecond));
    const Status newer = migrate(connection, kFirst);
    ASSERT_FALSE(newer);
    EXPECT_EQ(newer.error().code, ErrorCode::kRefused);
    EXPECT_THAT(newer.error().message, AllOf(HasSubstr("has version 2"), HasSubstr("up to 1")));
  }
  Connection reader = *Connection::open_read_only(path_);
  EXPECT_EQ(check_version(reader, kFirst).error().code, ErrorCode::kRefused);
  EXPECT_TRUE(check_version(reader, kSecond));
}

TEST(Migrations, EmbeddedFilesAreNumberedWithoutHoles) {
  int expected = 0;
  for (const Migration& migration : embedded_migrations()) {
    EXPECT_EQ(migration.number, ++expected) << migration.file;
    const auto file = read_file(fs::path(GAUNTLET_SOURCE_DIR) / "schemas" / "db" / migration.file);
    ASSERT_TRUE(file);
    EXPECT_EQ(*file, migration.sql);
  }
  EXPECT_GE(expected, 1);
}

}  // namespace
}  // namespace gauntlet::db
