#include "core/db/reserve_log.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "core/db/transaction.hpp"
#include "tests/support/simulated_disk.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::db {
namespace {

namespace fs = std::filesystem;
using testing_support::DiskStep;
using testing_support::SimulatedDisk;
using testing_support::Unsynced;

constexpr std::int64_t kBytes = 5'000'000;

class ReserveLogTest : public testing::Test {
 protected:
  [[nodiscard]] Connection open() const { return *Connection::open_read_write(path_); }
  [[nodiscard]] std::uintmax_t log_bytes() const { return fs::file_size(path_.string() + "-wal"); }
  static void add_row(Connection& connection) {
    ASSERT_TRUE(connection.execute("CREATE TABLE IF NOT EXISTS one (x INTEGER); INSERT INTO one VALUES (1)"));
  }
  static std::int64_t n_rows(Connection& connection) {
    return connection.integer("SELECT count(*) FROM one").value_or(-1);
  }

  testing_support::TempFolder folder_;
  fs::path path_ = folder_ / "log.db";
};

TEST_F(ReserveLogTest, CommitsDoNotMakeTheLogLonger) {
  Connection connection = open();
  reserve_log(connection, kBytes);
  ASSERT_EQ(log_bytes(), kBytes);
  for (int row = 0; row < 100; ++row) add_row(connection);
  EXPECT_EQ(log_bytes(), kBytes);
  reserve_log(connection, kBytes / 2);
  EXPECT_EQ(log_bytes(), kBytes) << "never shorter";
  EXPECT_EQ(n_rows(connection), 100);
}

TEST_F(ReserveLogTest, WhatIsBehindTheLastCommitIsNothingToWhoeverComesNext) {
  Connection connection = open();
  add_row(connection);
  reserve_log(connection, kBytes);
  add_row(connection);
  const fs::path copy = folder_ / "copy.db";  // as a killed process leaves it: with its log
  fs::copy_file(path_, copy);
  fs::copy_file(path_.string() + "-wal", copy.string() + "-wal");
  Connection next = *Connection::open_read_write(copy);
  EXPECT_EQ(n_rows(next), 2);
  reserve_log(next, kBytes);
  add_row(next);
  EXPECT_EQ(n_rows(next), 3);
  EXPECT_EQ(next.text("PRAGMA integrity_check").value_or(""), "ok");
}

TEST_F(ReserveLogTest, LeavesALogThatAnotherProgramWrites) {
  Connection connection = *Connection::open_read_write(path_, 10);
  Connection other = open();
  add_row(other);
  const std::uintmax_t before = log_bytes();
  const auto writing = Transaction::begin(other);
  ASSERT_TRUE(writing);
  reserve_log(connection, kBytes);
  EXPECT_EQ(log_bytes(), before);
}

// The space that is free is that of the folder in which a file of the same name lies.
TEST_F(ReserveLogTest, AFullDiskAndAPowerCutLoseNothing) {
  std::ofstream(path_).put(' ');
  for (const bool is_full : {true, false}) {
    SimulatedDisk disk;
    RandomStream random = RandomStream::of(7, 0, 0);
    {
      Connection connection = open();
      add_row(connection);
      if (is_full) {
        disk.fail(DiskStep::kWrite, 3, SQLITE_FULL, true);
      } else {
        disk.cut_power_after(3);
      }
      reserve_log(connection, kBytes);
      EXPECT_EQ(disk.has_failed(), is_full);
      EXPECT_EQ(disk.has_power(), is_full);
      disk.heal();
      if (is_full) add_row(connection);
    }
    if (!is_full) disk.restore_power(random, Unsynced::kSome);
    Connection again = open();
    EXPECT_EQ(n_rows(again), is_full ? 2 : 1);
  }
}

}  // namespace
}  // namespace gauntlet::db
