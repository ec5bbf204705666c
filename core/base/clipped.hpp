// Long texts for messages that must stay short. Thread safety: a pure function.
#pragma once

#include <string>
#include <string_view>

namespace gauntlet {

/// The text, or at most `most` bytes of it and "…"; cut between UTF-8 characters.
[[nodiscard]] inline std::string clipped(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return std::string(text.substr(0, most)) + "…";
}

}  // namespace gauntlet
