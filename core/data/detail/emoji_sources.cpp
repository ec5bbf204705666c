#include "core/data/detail/emoji_sources.hpp"

#include <fmt/core.h>

#include "core/base/hash.hpp"
#include "core/data/detail/file_hashes.hpp"

namespace gauntlet::data::detail {

const std::array<SourceFile, kNumSources>& source_files() {
  static constexpr std::array<SourceFile, kNumSources> kFiles = {{
      {"NotoColorEmoji.ttf", "fonts-noto-color-emoji",
       "e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec"},
      {"emoji-test.txt", "unicode-data", "8445f23ac8388e096be19d0262e14fceff856ff52093f2356dc89485f1a853db"},
      {"annotations/en.xml", "unicode-cldr-core",
       "170a989b9aff71fd06b9f7bbd70aa3b4a3d228e15fa734692d4fc80206e536e1"},
      {"annotationsDerived/en.xml", "unicode-cldr-core",
       "0fab943b22dd1197b6d6fe6ce6aec7968e925d547283484bddcf96b14daf657f"},
  }};
  return kFiles;
}

std::string SourceHashes::content_id() const {
  std::string lines;
  for (const std::string& each : hex) lines += each + "\n";
  return gauntlet::to_hex(sha256(lines));
}

std::vector<std::string> SourceHashes::warnings() const {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < kNumSources; ++at) {
    if (hex[at] == source_files()[at].sha256) continue;
    all.push_back(
        fmt::format("{} is not Debian 12's version (SHA-256 {}, not {}): published numbers may differ",
                    source_files()[at].name, hex[at], source_files()[at].sha256));
  }
  return all;
}

Json SourceHashes::to_json() const {
  Json object = Json::object();
  for (std::size_t at = 0; at < kNumSources; ++at) object[std::string(source_files()[at].name)] = hex[at];
  return object;
}

Result<SourceHashes> hash_sources(const EmojiSources& sources) {
  const std::array<std::filesystem::path, kNumSources> paths = {
      sources.font, sources.emoji_test, sources.annotations(), sources.derived_annotations()};
  SourceHashes hashes;
  for (std::size_t at = 0; at < kNumSources; ++at) {
    Result<std::string> hash = cached_sha256(paths[at]);
    if (!hash && hash.error().code == ErrorCode::kNotFound) {
      return fail(ErrorCode::kNotFound,
                  "{} is missing; it comes with the Debian package {}: "
                  "apt-get install fonts-noto-color-emoji unicode-data unicode-cldr-core",
                  paths[at].string(), source_files()[at].package);
    }
    if (!hash) return fail(hash.error());
    hashes.hex[at] = std::move(*hash);
  }
  return hashes;
}

}  // namespace gauntlet::data::detail
