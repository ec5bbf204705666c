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

/// What a command prints into a terminal of so many columns.
std::string printed_at(unsigned short columns, std::vector<std::string> command) {
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
  while ((n_read = ::read(terminal, block.data(), block.size())) > 0)
    printed.append(block.data(), static_cast<std::size_t>(n_read));
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

}  // namespace
}  // namespace gauntlet::cli
