#include "core/data/detail/source_files.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "core/base/hash.hpp"
#include "core/data/detail/file_hashes.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 64;
constexpr std::size_t kMaxEntries = 100'000;
/// Known by its name, for a caption may end as the lines of a list do: "house number 1".
constexpr std::string_view kCaptionFile = "caption.txt";

Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (entries.size() == kMaxEntries) {
      return fail(ErrorCode::kInvalid, "{} has more than {} entries; name the file itself", folder.string(),
                  kMaxEntries);
    }
    std::error_code ignored;
    if (at->is_directory(ignored)) continue;
    const std::string name = at->path().filename().string();
    if (!io::is_utf8(name)) {
      return fail(ErrorCode::kInvalid, "{} has a file whose name is not UTF-8: '{}'", folder.string(),
                  io::printable(name));
    }
    entries.push_back(at->path());
  }
  if (error) return fail(ErrorCode::kIo, "cannot read {}: {}", folder.string(), error.message());
  std::ranges::sort(entries);
  return entries;
}

}  // namespace

std::string SourceFiles::name_of(const ArrayRef& ref) const {
  const std::string& key = info_of(ref).name;
  return files.size() == 1 ? key : fmt::format("{}#{}", files[ref.file]->path().filename().string(), key);
}

Result<SourceFiles> open_sources(const fs::path& path, const fs::path& scratch) {
  if (!io::is_utf8(path.string()))
    return fail(ErrorCode::kInvalid, "the path '{}' is not UTF-8", io::printable(path.string()));
  std::error_code error;
  SourceFiles sources;
  if (!fs::is_directory(path, error)) {
    GAUNTLET_TRY(auto file, io::open_container(path, scratch));
    sources.files.push_back(std::move(file));
    sources.root = path.has_parent_path() ? path.parent_path() : fs::path(".");
    return sources;
  }
  sources.root = path;
  GAUNTLET_TRY(const std::vector<fs::path> entries, entries_of(path));
  for (const fs::path& entry : entries) {
    if (entry.filename() == kCaptionFile) {
      sources.captions = entry;
      sources.others.push_back(entry);
      continue;
    }
    const auto kind = io::sniff(entry);
    if (!kind && kind.error().code == ErrorCode::kInvalid) {
      sources.others.push_back(entry);
      continue;
    }
    if (!kind) return fail(kind.error());
    GAUNTLET_TRY(auto file, io::open_container(entry, scratch));
    if (sources.files.size() == kMaxFiles) {
      return fail(ErrorCode::kInvalid, "{} holds more than {} array files; name the file itself",
                  path.string(), kMaxFiles);
    }
    sources.files.push_back(std::move(file));
  }
  if (!sources.files.empty()) return sources;
  return fail(
      ErrorCode::kInvalid,
      "{} holds no array file (.npy, .safetensors, MAT v5, MAT v7.3, HDF5, lists of paths and labels)",
      path.string());
}

Result<std::string> hash_sources_of(const SourceFiles& sources) {
  std::string lines;
  for (const auto& file : sources.files) {
    GAUNTLET_TRY(const std::string hash, cached_sha256(file->path()));
    lines += fmt::format("{} {}\n", hash, file->path().filename().string());
  }
  for (const fs::path& other : sources.others) {
    if (other.extension() != ".txt") continue;
    GAUNTLET_TRY(const std::string hash, cached_sha256(other));
    lines += fmt::format("{} {}\n", hash, other.filename().string());
  }
  return to_hex(sha256(lines));
}

}  // namespace gauntlet::data::detail
