#include "core/data/detail/file_hashes.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/json.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::size_t kMaxCacheBytes = std::size_t{16} << 20;
constexpr std::int64_t kSettledNs =
    2'000'000'000;  // a file younger than this may change again within one time stamp

std::optional<std::filesystem::path> cache_file() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && cache[0] == '/') {
    return std::filesystem::path(cache) / "gauntlet" / "file-hashes.json";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    return std::filesystem::path(home) / ".cache" / "gauntlet" / "file-hashes.json";
  }
  return std::nullopt;
}

/// The cache's "files" object; empty when there is none or it is damaged.
Json read_cache(const std::filesystem::path& path) {
  const auto text = read_file(path, kMaxCacheBytes);
  if (!text) return Json::object();
  auto cache = parse_json(*text, path.string());
  if (!cache || !cache->is_object() || !cache->contains("files") || !(*cache)["files"].is_object()) {
    return Json::object();
  }
  return std::move((*cache)["files"]);
}

std::int64_t nanoseconds(const struct timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The hash an entry remembers for this very state of the file.
std::optional<std::string> remembered(const Json& files, const std::string& key, const Json& state) {
  const auto entry = files.find(key);
  if (entry == files.end() || !entry->is_object() || !entry->contains("sha256") ||
      entry->value("state", Json()) != state) {
    return std::nullopt;
  }
  const Json& hash = (*entry)["sha256"];
  if (!hash.is_string() || !digest_from_hex(hash.get_ref<const std::string&>())) return std::nullopt;
  return hash.get<std::string>();
}

}  // namespace

Result<std::string> cached_sha256(const std::filesystem::path& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return fail(system_error(errno, "read", path));
  std::error_code ignored;
  const std::string key = std::filesystem::absolute(path, ignored).string();
  const Json state = {static_cast<std::int64_t>(about.st_size), nanoseconds(about.st_mtim),
                      nanoseconds(about.st_ctim), static_cast<std::uint64_t>(about.st_ino)};
  const auto cache = cache_file();
  Json files = cache ? read_cache(*cache) : Json::object();
  if (const auto known = remembered(files, key, state)) return *known;

  GAUNTLET_TRY(const Digest digest, sha256_file(path));
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  if (cache && now - nanoseconds(about.st_mtim) > kSettledNs && make_directories(cache->parent_path())) {
    files[key] = {{"state", state}, {"sha256", to_hex(digest)}};
    // A cache that cannot be written costs time at the next run, nothing else; paths that are not UTF-8 stay
    // out of it.
    if (const auto text = canonical_json({{"format", 1}, {"files", files}})) {
      [[maybe_unused]] const Status written = write_file_atomic(*cache, *text);
    }
  }
  return to_hex(digest);
}

}  // namespace gauntlet::data::detail
