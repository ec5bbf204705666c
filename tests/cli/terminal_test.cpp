// Progress as a terminal sees it: a bar and lines that fit, however wide it is.
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <regex>
#include <sstream>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

/// Starts a command in a terminal of its own; its process, and where the terminal is read.
pid_t start_in_terminal(std::vector<std::string> command, winsize size, int* terminal) {
  const pid_t child = ::forkpty(terminal, nullptr, nullptr, &size);
  if (child == 0) {
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    ::setenv("TERM", "xterm", 1);
    for (const char* name : {"XTERM_VERSION", "STY"}) ::unsetenv(name);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  return child;
}

/// What a command prints into a terminal of so many columns, which becomes `then` columns wide once there is
/// a bar in it; `at_resize`: bytes printed until then.
std::string printed_at(unsigned short columns, std::vector<std::string> command, unsigned short then = 0,
                       std::size_t* at_resize = nullptr) {
  winsize size{.ws_row = 40, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = start_in_terminal(std::move(command), size, &terminal);
  std::string printed;
  std::array<char, 4096> block{};
  ssize_t n_read = 0;
  while ((n_read = ::read(terminal, block.data(), block.size())) > 0) {
    printed.append(block.data(), static_cast<std::size_t>(n_read));
    if (then == 0 || printed.find(" %") == std::string::npos) continue;
    size.ws_col = then;
    EXPECT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
    then = 0;
    *at_resize = printed.size();
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  EXPECT_EQ(status, 0) << printed;
  return printed;
}

/// Characters of a line as people see them.
std::size_t columns_of(const std::string& line) {
  std::size_t columns = 0;
  for (const char byte : line) columns += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U ? 1 : 0;
  return columns;
}

/// As much of a terminal as progress needs, that breaks long lines anew when its width changes.
class Screen {
 public:
  explicit Screen(std::size_t columns) : columns_(columns) {}

  void print(std::string_view bytes) {
    for (const char byte : bytes) take(byte);
  }
  void resize(std::size_t columns) {
    // Where the cursor is among the whole lines, which are what stays.
    std::size_t line = 0;
    std::size_t column = 0;
    std::vector<std::string> lines;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (row == 0 || !rows_[row].continues) lines.emplace_back();
      if (row == row_) {
        line = lines.size() - 1;
        column = lines.back().size() + column_;
      }
      lines.back() += rows_[row].text;
    }
    columns_ = columns;
    rows_.clear();
    for (std::size_t at = 0; at < lines.size(); ++at) {
      const std::size_t first = rows_.size();
      for (std::size_t from = 0; from == 0 || from < lines[at].size(); from += columns_)
        rows_.push_back({lines[at].substr(from, columns_), from > 0});
      if (at != line) continue;
      row_ = std::min(first + column / columns_, rows_.size() - 1);
      column_ = column % columns_;
    }
  }
  /// Lines, each of one row or several, that begin so.
  [[nodiscard]] std::size_t n_lines(std::string_view begin) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        rows_, [&](const Row& row) { return !row.continues && row.text.starts_with(begin); }));
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const Row& row : rows_) all += row.text + "\n";
    return all;
  }

 private:
  struct Row {
    std::string text;
    bool continues = false;  ///< the line of the row above
  };

  void take(char byte) {
    if (!escape_.empty()) {
      escape_ += byte;
      if (escape_.size() > 2 && std::isalpha(static_cast<unsigned char>(byte)) != 0) obey();
      return;
    }
    if (byte == '\x1b') {
      escape_ = byte;
    } else if (byte == '\r') {
      column_ = 0;
    } else if (byte == '\n') {
      next_row(false);
    } else if ((static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) {  // the first byte stands for the letter
      if (column_ == columns_) {
        next_row(true);
        column_ = 0;
      }
      std::string& text = rows_[row_].text;
      text.resize(std::max(text.size(), column_ + 1), ' ');
      text[column_++] = byte;
    }
  }
  void next_row(bool continues) {
    if (++row_ == rows_.size()) rows_.emplace_back();
    rows_[row_].continues = continues;
  }
  void obey() {
    const char what = escape_.back();
    const std::size_t n = std::strtoul(escape_.c_str() + 2, nullptr, 10);
    if (what == 'A') {
      row_ -= std::min(row_, n);
      rows_[row_].continues = false;  // what is written there is no part of the line above
    }
    if (what == 'J') rows_.resize(row_ + 1);
    if (what == 'J' || what == 'K') rows_[row_].text.resize(std::min(rows_[row_].text.size(), column_));
    escape_.clear();
  }

  std::size_t columns_;
  std::vector<Row> rows_ = std::vector<Row>(1);
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  std::string escape_;
};

class Terminal : public CliTest {};

TEST_F(Terminal, ProgressFitsAndHasAnOverallBar) {
  const std::string name(90, 'n');
  const auto sweep = write("wide.yaml", "gauntlet: 1\nname: " + name + "\nnoop: {jobs: 30, ms: 40}\n");
  for (const unsigned short columns : {std::uint16_t{60}, std::uint16_t{200}}) {
    SCOPED_TRACE(columns);
    const std::string raw =
        printed_at(columns, {GAUNTLET_BINARY_DIR "/bin/gauntlet", "run", sweep.string(), "--workdir",
                             (workdir() / std::to_string(columns)).string()});
    const std::string plain = std::regex_replace(raw, std::regex("\x1b\\[[0-9;]*[A-Za-z]"), "");
    EXPECT_TRUE(std::regex_search(plain, std::regex("\\[=* *\\] +[0-9]+ %"))) << plain;
    EXPECT_TRUE(std::regex_search(plain, std::regex("(n|…): [0-9]+ of 30 jobs done"))) << plain;
    EXPECT_TRUE(std::regex_search(plain, std::regex("running, 0 failed\r?\n"))) << plain;
    EXPECT_TRUE(std::regex_search(plain, std::regex("%, (about .*|less than a second) left"))) << plain;
    std::istringstream lines(std::regex_replace(plain, std::regex("\r"), "\n"));
    for (std::string line; std::getline(lines, line);) {
      const bool is_frame = line.starts_with("nnn") || line.starts_with("[") || line.starts_with("  [");
      const bool is_said = line.find("new,") != std::string::npos || line.ends_with("failed");
      if (!is_frame || is_said) continue;
      EXPECT_LT(columns_of(line), columns) << line;
    }
  }
}

TEST_F(Terminal, ProgressFitsAgainAfterAResize) {
  const std::string name(90, 'n');
  const auto sweep = write("wide.yaml", "gauntlet: 1\nname: " + name + "\nnoop: {jobs: 60, ms: 100}\n");
  for (const auto& [from, to] : {std::pair<std::uint16_t, std::uint16_t>{200, 60}, {60, 200}}) {
    SCOPED_TRACE(from);
    std::size_t at_resize = 0;
    const std::string raw = printed_at(from,
                                       {GAUNTLET_BINARY_DIR "/bin/gauntlet", "run", sweep.string(),
                                        "--workdir", (workdir() / std::to_string(from)).string()},
                                       to, &at_resize);
    // Frames start with the cursor's way up; one may have been under way at the old width.
    std::vector<std::string> frames;
    const std::regex start("\r\x1b\\[[0-9]+A");
    for (std::sregex_token_iterator
             at(raw.begin() + static_cast<std::ptrdiff_t>(at_resize), raw.end(), start, -1),
         end;
         at != end; ++at) {
      frames.push_back(std::regex_replace(at->str(), std::regex("\x1b\\[[0-9;]*[A-Za-z]"), ""));
    }
    ASSERT_GT(frames.size(), 3U) << raw;
    std::size_t widest = 0;
    for (std::size_t frame = 2; frame + 1 < frames.size(); ++frame) {
      std::istringstream lines(std::regex_replace(frames[frame], std::regex("\r"), "\n"));
      for (std::string line; std::getline(lines, line);) widest = std::max(widest, columns_of(line));
    }
    EXPECT_LT(widest, to);
    EXPECT_GT(widest, std::min<std::size_t>(from, to) / 2);
    if (to > from) {
      EXPECT_GT(widest, from);
    }
  }
}

class Watched : public Terminal {
 protected:
  void SetUp() override {
    coordinator_.emplace(with_folder({"coordinator"}), folder());
    ASSERT_TRUE(testing_support::wait_until([&] {
      return std::filesystem::exists(workdir() / "coordinator.json");
    })) << coordinator_->err();
    worker_.emplace(with_folder({"worker", "--cpus", "1"}), folder());
  }
  [[nodiscard]] std::vector<std::string> with_folder(std::vector<std::string> words) const {
    words.insert(words.begin(), GAUNTLET_BINARY_DIR "/bin/gauntlet");
    words.insert(words.end(), {"--workdir", workdir().string()});
    return words;
  }
  void submit(const std::string& name, const std::string& work) const {
    const auto file = write(name + ".yaml", "gauntlet: 1\nname: " + name + "\n" + work + "\n");
    const auto submitted = testing_support::run(with_folder({"submit", file.string()}), folder());
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  }
  std::optional<testing_support::Process> coordinator_;
  std::optional<testing_support::Process> worker_;
};

TEST_F(Watched, WatchAndWaitShowWhatRunShows) {
  int n_jobs = 20;
  for (const std::string verb : {"watch", "wait"}) {
    for (const auto& [from, to] : {std::pair<std::uint16_t, std::uint16_t>{60, 200}, {200, 60}}) {
      SCOPED_TRACE(verb + " " + std::to_string(from));
      const std::string name = std::string(70, 'n') + std::to_string(++n_jobs);
      submit(name, fmt::format("noop: {{jobs: {}, ms: {}}}", n_jobs, 100 + n_jobs));  // jobs of its own
      std::size_t at_resize = 0;
      const std::string raw = printed_at(from, with_folder({verb, name}), to, &at_resize);
      ASSERT_GT(at_resize, 0U) << raw;
      const auto plain = [](const std::string& text) {
        return std::regex_replace(text, std::regex("\x1b\\[[0-9;]*[A-Za-z]|\r"), "");
      };
      const std::string total = std::to_string(n_jobs);
      EXPECT_TRUE(std::regex_search(plain(raw), std::regex("[0-9]+ of " + total + " jobs done"))) << raw;
      EXPECT_TRUE(std::regex_search(plain(raw), std::regex("\\[=* *\\] +[0-9]+ %"))) << raw;
      EXPECT_TRUE(
          std::regex_search(plain(raw), std::regex(": " + total + " of " + total + " jobs done, 0 failed\n")))
          << "what stays: " << raw;
      const std::string before = plain(raw.substr(0, at_resize));
      std::istringstream lines(before);
      for (std::string line; std::getline(lines, line);) EXPECT_LT(columns_of(line), from) << line;
    }
  }
}

TEST_F(Watched, ElsewhereTheyAreLinesAndEveryFailureIsNamedOnce) {
  submit("breaks", "command: {jobs: 2, run: [\"false\"]}");
  for (const std::string verb : {"wait", "watch"}) {
    const auto ended = testing_support::run(with_folder({verb, "breaks"}), folder());
    SCOPED_TRACE(verb + ": " + ended.err);
    EXPECT_EQ(ended.exit_code, 3);
    EXPECT_EQ(ended.out, "");
    EXPECT_EQ(ended.err.find('\x1b'), std::string::npos);
    std::istringstream lines(ended.err);
    std::vector<std::string> failures;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("failed: ")) failures.push_back(line);
    }
    EXPECT_EQ(failures.size(), 2U);
    EXPECT_NE(ended.err.find("breaks: 0 of 2 jobs done, 2 failed\n"), std::string::npos);
    EXPECT_NE(ended.err.find("gauntlet: 2 jobs of sweep breaks failed\n"), std::string::npos);
  }
}

/// Narrower breaks the lines on the screen into several rows each: those must go, too.
TEST_F(Terminal, NoRowsStayBehindWhenItBecomesNarrower) {
  const std::string name(60, 'n');
  const auto sweep = write("wide.yaml", "gauntlet: 1\nname: " + name + "\nnoop: {jobs: 40, ms: 100}\n");
  const std::vector<std::string> command = {GAUNTLET_BINARY_DIR "/bin/gauntlet", "run", sweep.string(),
                                            "--workdir", workdir().string()};
  winsize size{.ws_row = 40, .ws_col = 150, .ws_xpixel = 0, .ws_ypixel = 0};
  Screen screen(size.ws_col);
  int terminal = -1;
  const pid_t child = start_in_terminal(command, size, &terminal);
  std::vector<std::size_t> frames;  ///< on the screen after each piece of output
  std::array<char, 4096> block{};
  const std::array<std::uint16_t, 3> widths = {70, 110, 45};
  std::size_t n_resized = 0;
  ssize_t n_read = 0;
  const auto read_some = [&] {
    n_read = ::read(terminal, block.data(), block.size());
    if (n_read > 0) screen.print({block.data(), static_cast<std::size_t>(n_read)});
    return n_read > 0;
  };
  const auto is_waiting = [&] {
    pollfd ready{terminal, POLLIN, 0};
    return ::poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0;
  };
  while (read_some()) {
    while (is_waiting() && read_some()) {
    }
    frames.push_back(screen.n_lines("nnn"));
    if (n_resized == widths.size() || frames.back() == 0 || frames.size() % 5 != 0) continue;
    // The program stands still meanwhile, so that what it drew is on the screen that is resized.
    ::kill(child, SIGSTOP);
    ::waitpid(child, nullptr, WUNTRACED);
    while (is_waiting() && read_some()) {
    }
    size.ws_col = widths[n_resized++];
    ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
    screen.resize(size.ws_col);
    ::kill(child, SIGCONT);
  }
  ::waitpid(child, nullptr, 0);
  ::close(terminal);
  EXPECT_EQ(n_resized, widths.size());
  EXPECT_LE(std::ranges::max(frames), 2U) << "what was said first, and one frame: " << screen.text();
  EXPECT_EQ(screen.n_lines("nnn"), 2U) << "what was said first and last: " << screen.text();
  EXPECT_EQ(screen.n_lines("["), 0U) << screen.text();
  EXPECT_EQ(screen.text().find(" running,"), std::string::npos) << screen.text();
  EXPECT_NE(screen.text().find("40 of"), std::string::npos) << "what was said stays: " << screen.text();
}

}  // namespace
}  // namespace gauntlet::cli
