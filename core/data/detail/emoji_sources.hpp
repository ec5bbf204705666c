// The four files Picto is made from: where Debian puts them, what they hashed to when the published numbers
// were made.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/program.hpp"
#include "core/base/result.hpp"
#include "core/data/detail/emoji_concepts.hpp"

namespace gauntlet::data::detail {

inline constexpr std::size_t kNumSources = 4;

/// One of the four files.
struct SourceFile {
  std::string_view name;     ///< in dataset.json
  std::string_view package;  ///< Debian package
  std::string_view sha256;   ///< of Debian 12's version
};
[[nodiscard]] const std::array<SourceFile, kNumSources>& source_files();

/// Config fields common to the Picto sets.
struct EmojiSourceConfig {
  std::string font = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf";
  std::string emoji_test = "/usr/share/unicode/emoji/emoji-test.txt";
  std::string cldr_dir = "/usr/share/unicode/cldr/common";

  static void fields(auto& self, auto& visit) {
    visit("font", self.font,
          {.doc = "Noto Color Emoji (Debian package fonts-noto-color-emoji).", .location = true});
    visit("emoji_test", self.emoji_test,
          {.doc = "Unicode's list of emoji (Debian package unicode-data).", .location = true});
    visit("cldr_dir", self.cldr_dir,
          {.doc = "Folder with annotations/en.xml and annotationsDerived/en.xml (Debian package "
                  "unicode-cldr-core).",
           .location = true});
  }

  [[nodiscard]] EmojiSources sources() const {
    return {installed_path(font), installed_path(emoji_test), installed_path(cldr_dir)};
  }
};

/// Hexadecimal SHA-256 of the four files, in the order of source_files().
struct SourceHashes {
  std::array<std::string, kNumSources> hex;

  /// SHA-256 over the four, one line each: the data's identity.
  [[nodiscard]] std::string content_id() const;
  /// Whether they are the files of the published numbers.
  [[nodiscard]] bool are_reference() const { return warnings().empty(); }
  /// One sentence per file that is another version.
  [[nodiscard]] std::vector<std::string> warnings() const;
  [[nodiscard]] Json to_json() const;
};

/// Errors: kNotFound with the package and its apt-get line; kIo.
[[nodiscard]] Result<SourceHashes> hash_sources(const EmojiSources& sources);

}  // namespace gauntlet::data::detail
