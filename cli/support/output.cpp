#include "cli/support/output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/io/utf.hpp"

namespace gauntlet::cli {
namespace {

bool reader_gone = false;

Status write_failed() {
  if (errno == EPIPE) {
    reader_gone = true;
    return {};
  }
  return fail(errno == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo, "cannot write to standard output: {}",
              std::strerror(errno));
}

bool variable_is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool is_plain_terminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::strcmp(term, "dumb") == 0;
}

}  // namespace

Status print(std::string_view text) {
  if (reader_gone || text.empty()) return {};
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) return {};
  return write_failed();
}

Status print_json(const Json& document) {
  return print(document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

Status flush_output() {
  if (reader_gone) return {};
  return std::fflush(stdout) == 0 ? Status{} : write_failed();
}

void note(std::string_view text) {
  static_cast<void>(std::fflush(stdout));
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
  static_cast<void>(std::fflush(stderr));
}

void complain(const Error& error) { note(fmt::format("gauntlet: {}\n", io::harmless(error.message))); }

bool can_animate() { return isatty(STDERR_FILENO) == 1 && !is_plain_terminal(); }

bool can_decorate_output() {
  return isatty(STDOUT_FILENO) == 1 && !variable_is_set("NO_COLOR") && !is_plain_terminal();
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace gauntlet::cli
