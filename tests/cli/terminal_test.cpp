// Progress as a terminal sees it: a bar and lines that fit, however wide it is.
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <regex>
#include <sstream>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

/// What a command prints into a terminal of so many columns, which becomes `then` columns wide once there is
/// a bar in it; `at_resize`: bytes printed until then.
std::string printed_at(unsigned short columns, std::vector<std::string> command, unsigned short then = 0,
                       std::size_t* at_resize = nullptr) {
  winsize size{.ws_row = 40, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    std::vector<char*> words;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    ::setenv("TERM", "xterm", 1);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
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
    EXPECT_TRUE(std::regex_search(plain, std::regex("[0-9]+ of 30 jobs")) || columns == 60) << plain;
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

}  // namespace
}  // namespace gauntlet::cli
