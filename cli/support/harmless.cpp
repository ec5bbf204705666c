#include "cli/support/harmless.hpp"

#include <fmt/core.h>

#include "core/io/utf.hpp"

namespace gauntlet::cli {

std::string harmless(std::string_view text) {
  if (!io::is_utf8(text)) return io::printable(text);
  std::string shown;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool commands = (byte < 0x20 && letter != '\n' && letter != '\t') || byte == 0x7F;
    shown += commands ? fmt::format("\\x{:02x}", byte) : std::string(1, letter);
  }
  return shown;
}

}  // namespace gauntlet::cli
