// Defaults that several datasets share, written once.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace gauntlet {

/// A JSON text made at compile time; converts to what EntryInfo::dataset_defaults holds.
template <std::size_t kSize>
struct DefaultsText {
  std::array<char, kSize> characters{};
  // NOLINTNEXTLINE(google-explicit-constructor): it stands for its text
  constexpr operator std::string_view() const { return {characters.data(), kSize}; }
};

/// The dataset defaults of an entry whose options are the same for both emoji datasets:
/// {"picto": options, "picto_scenes": options}.
template <std::size_t kLength>
[[nodiscard]] consteval auto emoji_defaults(const char (&options)[kLength]) {
  constexpr std::string_view kBefore = R"({"picto": )", kBetween = R"(, "picto_scenes": )", kAfter = "}";
  DefaultsText<kBefore.size() + kBetween.size() + kAfter.size() + 2 * (kLength - 1)> text;
  std::size_t at = 0;
  for (const std::string_view part : {kBefore, std::string_view(options, kLength - 1), kBetween,
                                      std::string_view(options, kLength - 1), kAfter}) {
    for (const char character : part) text.characters[at++] = character;
  }
  return text;
}

}  // namespace gauntlet
