#include "core/artifacts/manifest.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"

namespace gauntlet::artifacts {
namespace {

constexpr int kFormat = 1;

Result<std::string> digest_of(const Json& document) {
  GAUNTLET_TRY(const std::string text, canonical_json(document));
  return to_hex(sha256(text));
}

bool stays_inside(const std::filesystem::path& name) {
  if (name.empty() || name.is_absolute()) return false;
  for (const auto& part : name) {
    if (part == ".." || part == "." || part.empty()) return false;
  }
  return true;
}

tl::unexpected<Error> damaged(std::string_view what) {
  return fail(ErrorCode::kCorrupt, "{} {}", kManifestName, what);
}

Result<std::vector<ManifestFile>> read_files(const Json& list) {
  std::vector<ManifestFile> files;
  for (const Json& item : list) {
    const bool complete = item.is_object() && item.contains("name") && item["name"].is_string() &&
                          item.contains("bytes") && item["bytes"].is_number_unsigned() &&
                          item.contains("sha256") && item["sha256"].is_string();
    if (!complete) return damaged("lists a file without name, bytes and sha256");
    ManifestFile file{item["name"].get<std::string>(), item["bytes"].get<std::uint64_t>(),
                      item["sha256"].get<std::string>()};
    if (!stays_inside(file.name))
      return damaged(fmt::format("names a file outside its folder: '{}'", file.name));
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

Result<std::string> write_manifest(const Manifest& manifest) {
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  Json document = {{"format", kFormat},
                   {"kind", spec::name_of(manifest.job.kind)},
                   {"key", manifest.key.hex()},
                   {"job", spec::canonical_form(manifest.job)},
                   {"about", manifest.about},
                   {"files", std::move(files)},
                   {"revision", manifest.revision},
                   {"versions", manifest.versions}};
  GAUNTLET_TRY(std::string digest, digest_of(document));
  document["digest"] = std::move(digest);
  return canonical_json(document);
}

Result<Manifest> read_manifest(std::string_view text) {
  Result<Json> parsed = parse_json(text, kManifestName);
  if (!parsed) return fail(ErrorCode::kCorrupt, "{}", parsed.error().message);
  Json& document = *parsed;
  for (const char* member :
       {"format", "kind", "key", "job", "about", "files", "revision", "versions", "digest"}) {
    if (!document.is_object() || !document.contains(member))
      return damaged(fmt::format("has no '{}'", member));
  }
  if (document["format"] != kFormat) {
    return damaged(
        fmt::format("has format {}; this program reads format {}", document["format"].dump(), kFormat));
  }
  const Json digest = document["digest"];
  document.erase("digest");
  GAUNTLET_TRY(const std::string expected, digest_of(document));
  if (digest != expected) return damaged("was changed: its digest does not match");

  Manifest manifest;
  GAUNTLET_TRY(manifest.job, spec::job_from_canonical(document["job"]));
  GAUNTLET_TRY(manifest.key, spec::key_of(manifest.job));
  if (document["key"] != manifest.key.hex() || document["kind"] != spec::name_of(manifest.job.kind)) {
    return damaged("names another key or kind than its job has");
  }
  if (!document["files"].is_array() || !document["revision"].is_string())
    return damaged("has members of the wrong type");
  GAUNTLET_TRY(manifest.files, read_files(document["files"]));
  manifest.about = document["about"];
  manifest.revision = document["revision"].get<std::string>();
  manifest.versions = document["versions"];
  return manifest;
}

Result<std::vector<ManifestFile>> list_files(const std::filesystem::path& folder) {
  std::vector<ManifestFile> files;
  std::error_code error;
  auto it = std::filesystem::recursive_directory_iterator(folder, error);
  const auto end = std::filesystem::recursive_directory_iterator();
  for (; !error && it != end; it.increment(error)) {
    const std::filesystem::path& path = it->path();
    const auto type = it->symlink_status(error).type();
    if (error) break;
    if (type == std::filesystem::file_type::directory) continue;
    if (type != std::filesystem::file_type::regular) {
      return fail(ErrorCode::kInvalid, "{} is neither a file nor a folder; an artifact holds nothing else",
                  path.string());
    }
    const std::string name = path.lexically_relative(folder).generic_string();
    if (name == kManifestName) {
      return fail(ErrorCode::kInvalid, "{} has the manifest's own name; a job must name its file otherwise",
                  path.string());
    }
    GAUNTLET_CHECK_OK(sync_path(path));
    GAUNTLET_TRY(const Digest digest, sha256_file(path));
    files.push_back({name, std::filesystem::file_size(path, error), to_hex(digest)});
    if (error) break;
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  std::sort(files.begin(), files.end(),
            [](const ManifestFile& a, const ManifestFile& b) { return a.name < b.name; });
  return files;
}

Status sync_path(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(system_error(errno, "open", path));
  const int synced = ::fsync(fd);
  const int reason = errno;
  ::close(fd);
  // A file system that cannot sync folders says EINVAL; there is nothing more to do on it.
  if (synced != 0 && reason != EINVAL) return fail(system_error(reason, "flush", path));
  return {};
}

}  // namespace gauntlet::artifacts
