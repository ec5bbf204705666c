#include "core/db/backup.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "core/db/transaction.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::db {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class BackupTest : public testing::Test {
 protected:
  void SetUp() override {
    writer_.emplace(*Connection::open_read_write(path_));
    ASSERT_TRUE(writer_->execute("CREATE TABLE one (x INTEGER, filler BLOB); CREATE TABLE two (x INTEGER)"));
    ASSERT_TRUE(
        writer_->execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
                         "INSERT INTO one SELECT i, randomblob(8000) FROM n"));
    ASSERT_TRUE(writer_->execute("INSERT INTO two SELECT x FROM one"));
  }
  /// One commit that keeps both tables equally long.
  void commit_one() {
    auto transaction = Transaction::begin(*writer_);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(writer_->execute("INSERT INTO one VALUES (0, randomblob(8000)); INSERT INTO two VALUES (0)"));
    ASSERT_TRUE(transaction->commit());
  }
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      if (!entry.path().filename().string().starts_with("source")) names.push_back(entry.path().filename());
    return names;
  }

  testing_support::TempFolder folder_;
  fs::path path_ = folder_ / "source.db";
  fs::path copy_ = folder_ / "copy.db";
  std::optional<Connection> writer_;
};

TEST_F(BackupTest, ACommitBetweenAnyTwoStepsIsNotInTheCopyAndDoesNotHoldItUp) {
  auto reader = Connection::open_read_only(path_);
  ASSERT_TRUE(reader);
  int n_steps = 0;
  double last = 0;
  const auto backup = back_up(*reader, copy_, [&](double done) {
    commit_one();
    ++n_steps;
    EXPECT_GE(done, last);
    last = done;
    return n_steps < 1000;
  });
  ASSERT_TRUE(backup) << backup.error().message;
  EXPECT_GE(n_steps, 2);
  EXPECT_EQ(backup->rows.at("one"), 3000);
  EXPECT_EQ(backup->rows.at("two"), 3000);
  EXPECT_EQ(backup->bytes, fs::file_size(copy_));
  EXPECT_EQ(*writer_->integer("SELECT count(*) FROM one"), 3000 + n_steps);
  EXPECT_THAT(files(), testing::ElementsAre("copy.db")) << "one file, nothing beside it";

  auto copy = Connection::open_read_only(copy_);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(*copy->integer("SELECT count(*) FROM one"), 3000);
  EXPECT_EQ(*copy->integer("SELECT count(*) FROM one JOIN two USING (x)"), 3000);
  EXPECT_EQ(*copy->text("PRAGMA journal_mode"), "delete");
}

TEST_F(BackupTest, WhatIsOnlyInTheLogIsCopiedToo) {
  ASSERT_TRUE(writer_->execute("PRAGMA wal_autocheckpoint = 0"));
  commit_one();
  ASSERT_GT(fs::file_size(path_.string() + "-wal"), 0U);
  auto reader = Connection::open_read_only(path_);
  ASSERT_TRUE(reader);
  ASSERT_TRUE(back_up(*reader, copy_));
  writer_.reset();
  auto copy = Connection::open_read_write(copy_);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(*copy->integer("SELECT count(*) FROM one"), 3001);
}

TEST_F(BackupTest, NothingIsOverwritten) {
  std::ofstream(copy_) << "mine";
  auto reader = Connection::open_read_only(path_);
  const auto backup = back_up(*reader, copy_);
  ASSERT_FALSE(backup);
  EXPECT_EQ(backup.error().code, ErrorCode::kRefused);
  EXPECT_THAT(backup.error().message, HasSubstr("copy.db exists already and is not overwritten"));
  EXPECT_EQ(testing_support::bytes_of_file(copy_), "mine");
}

TEST_F(BackupTest, AFileThatAppearsMeanwhileIsNotOverwrittenEither) {
  auto reader = Connection::open_read_only(path_);
  const auto backup = back_up(*reader, copy_, [&](double) {
    std::ofstream(copy_) << "mine";
    return true;
  });
  ASSERT_FALSE(backup);
  EXPECT_EQ(backup.error().code, ErrorCode::kRefused);
  EXPECT_EQ(testing_support::bytes_of_file(copy_), "mine");
  EXPECT_THAT(files(), testing::ElementsAre("copy.db"));
}

TEST_F(BackupTest, AnInterruptionLeavesNothing) {
  auto reader = Connection::open_read_only(path_);
  const auto backup = back_up(*reader, copy_, [](double) { return false; });
  ASSERT_FALSE(backup);
  EXPECT_EQ(backup.error().code, ErrorCode::kInterrupted);
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(BackupTest, AFolderThatIsNotThereIsNamed) {
  auto reader = Connection::open_read_only(path_);
  const auto backup = back_up(*reader, folder_ / "nowhere/copy.db");
  ASSERT_FALSE(backup);
  EXPECT_THAT(backup.error().message, HasSubstr("nowhere/copy.db"));
}

}  // namespace
}  // namespace gauntlet::db
