// Logs that are read while they grow, and that do not grow for ever.
#include "core/base/log_file.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class LogFile : public testing::Test {
 protected:
  void append(const std::string& text) const { std::ofstream(log_, std::ios::app) << text; }
  /// Numbered lines of 16 bytes.
  void append_lines(int first, int last) const {
    std::string text;
    for (int line = first; line < last; ++line) text += fmt::format("line {:010}\n", line);
    append(text);
  }
  [[nodiscard]] std::string read_all(std::uint64_t from = 0) const {
    std::string text;
    while (true) {
      const Result<LogPart> part = read_log(log_, from, 100'000);
      if (!part) {
        ADD_FAILURE() << part.error().message;
        return text;
      }
      text += part->bytes;
      from = part->next;
      if (part->at_end) return text;
    }
  }
  [[nodiscard]] std::uint64_t allocated() const {
    struct stat about {};
    EXPECT_EQ(::stat(log_.c_str(), &about), 0);
    return static_cast<std::uint64_t>(about.st_blocks) * 512;
  }

  testing_support::TempFolder folder_;
  std::filesystem::path log_ = folder_.path() / "1.log";
};

TEST_F(LogFile, IsReadFromWhereTheReaderIs) {
  EXPECT_EQ(read_log(log_, 0, 10).error().code, ErrorCode::kNotFound);
  append("hello ");
  const LogPart first = read_log(log_, 0, 3).value();
  EXPECT_EQ(first.bytes, "hel");
  EXPECT_FALSE(first.at_end);
  const LogPart second = read_log(log_, first.next, 100).value();
  EXPECT_EQ(second.bytes, "lo ");
  EXPECT_TRUE(second.at_end);
  append("world");
  EXPECT_EQ(read_log(log_, second.next, 100)->bytes, "world");
  std::filesystem::resize_file(log_, 2);
  append("!");
  EXPECT_EQ(read_log(log_, 11, 100)->next, 3U) << "a log that was cut is read on from its end";
}

TEST_F(LogFile, AShortOneIsLeftAlone) {
  EXPECT_FALSE(limit_log(log_, 1 << 20).value()) << "there is none";
  append_lines(0, 1000);
  EXPECT_FALSE(limit_log(log_, 1).value()) << "less than 1 MiB is always kept";
  EXPECT_EQ(read_all().size(), 16'000U);
}

TEST_F(LogFile, ALongOneKeepsItsBeginningAndItsEnd) {
  constexpr std::uint64_t kLimit = 2 << 20;
  int line = 0;
  for (int round = 1; round <= 5; ++round) {
    append_lines(line, line + 200'000);  // 3.2 MB
    line += 200'000;
    ASSERT_TRUE(limit_log(log_, kLimit).value());
    EXPECT_LE(allocated(), kLimit);
    EXPECT_FALSE(limit_log(log_, kLimit).value()) << "once is enough";
    const std::string text = read_all();
    EXPECT_LE(text.size(), kLimit);
    EXPECT_THAT(text, StartsWith("line 0000000000\nline 0000000001\n"));
    EXPECT_THAT(text, HasSubstr("\n[gauntlet: the log was too long; bytes"));
    EXPECT_EQ(text.find('\0'), std::string::npos);
  }
  append("the end\n");
  EXPECT_THAT(read_all(), testing::EndsWith("the end\n"));
}

TEST_F(LogFile, AReaderInTheMiddleGoesOnBehindWhatIsGone) {
  append_lines(0, 300'000);
  const LogPart before = read_log(log_, 1'000'000, 16).value();
  ASSERT_TRUE(limit_log(log_, 1 << 20).value());
  const LogPart after = read_log(log_, before.next, 1 << 20).value();
  EXPECT_GT(after.next, before.next + (1 << 20));
  append("more\n");
  EXPECT_THAT(read_all(before.next), testing::EndsWith("line 0000299999\nmore\n"));
}

TEST(LogPaths, AreThoseOfTheWorkFolder) {
  const std::filesystem::path log = attempt_log("/runs", std::string(64, 'a'), 3);
  EXPECT_EQ(log, "/runs/logs/" + std::string(64, 'a') + "/3.log");
  EXPECT_EQ(events_beside(log).filename(), "3.log.events");
}

}  // namespace
}  // namespace gauntlet
