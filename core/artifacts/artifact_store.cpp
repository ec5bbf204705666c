#include "core/artifacts/artifact_store.hpp"

#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "core/artifacts/manifest.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"

namespace gauntlet::artifacts {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxManifestBytes = std::size_t{64} << 20;
constexpr auto kForeignDraftAge = std::chrono::hours(24 * 7);

/// What identifies one state of a file; any write to it changes one of these.
struct FileState {
  std::uint64_t size = 0;
  ino_t inode = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const FileState&) const = default;
};

std::int64_t ns_of(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

Result<FileState> state_of(const fs::path& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return fail(system_error(errno, "read", path));
  if (!S_ISREG(about.st_mode)) return fail(ErrorCode::kCorrupt, "{} is not a file", path.string());
  return FileState{static_cast<std::uint64_t>(about.st_size), about.st_ino, ns_of(about.st_mtim),
                   ns_of(about.st_ctim)};
}

/// Hashes of files already read by this process.
class HashCache {
 public:
  [[nodiscard]] Result<std::string> hash(const fs::path& path, const FileState& state) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = known_.find(path.string());
      if (found != known_.end() && found->second.first == state) return found->second.second;
    }
    GAUNTLET_TRY(const Digest digest, sha256_file(path));
    std::string hex = to_hex(digest);
    const std::lock_guard lock(mutex_);
    known_.insert_or_assign(path.string(), std::pair(state, hex));
    return hex;
  }

  void remember(const fs::path& path, const FileState& state, std::string hex) {
    const std::lock_guard lock(mutex_);
    known_.insert_or_assign(path.string(), std::pair(state, std::move(hex)));
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::pair<FileState, std::string>> known_;
};

HashCache& hash_cache() {
  static HashCache cache;
  return cache;
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "localhost";
  return name;
}

/// When the process started, in clock ticks since boot: with its id, what tells two processes of one id
/// apart. Empty if it is gone.
std::string start_of(pid_t pid) {
  const Result<std::string> stat = read_file(fmt::format("/proc/{}/stat", pid), 1 << 16);
  if (!stat) return "";
  // The second field, the name in parentheses, may hold anything; field 22 is counted from behind it.
  std::size_t at = stat->rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
  if (at == std::string::npos) return "";
  return stat->substr(at + 1, stat->find(' ', at + 1) - at - 1);
}

/// "<pid>.<start>.<n>.<key>.<host>"; the host last, since its name may hold dots.
std::string draft_name(const JobKey& key) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}.{}.{}.{}.{}", ::getpid(), start_of(::getpid()), counter++, key.brief(), host_name());
}

bool is_stale(const fs::path& draft) {
  const std::string name = draft.filename().string();
  std::array<std::string, 4> fields;
  std::size_t from = 0;
  for (std::string& field : fields) {
    const std::size_t dot = name.find('.', from);
    if (dot == std::string::npos) return true;  // not one of ours
    field = name.substr(from, dot - from);
    from = dot + 1;
  }
  if (name.substr(from) != host_name()) {
    std::error_code error;
    const auto touched = fs::last_write_time(draft, error);
    return !error && fs::file_time_type::clock::now() - touched > kForeignDraftAge;
  }
  pid_t pid = 0;
  const auto [end, failed] = std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), pid);
  if (failed != std::errc{} || pid <= 0) return true;
  return start_of(pid) != fields[1];
}

/// Flushes every folder at and below `folder`; files are flushed where they are hashed.
Status sync_folders(const fs::path& folder) {
  std::error_code error;
  auto it = fs::recursive_directory_iterator(folder, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->is_directory(error)) GAUNTLET_CHECK_OK(sync_path(it->path()));
  }
  if (error) return fail(system_error(error.value(), "flush", folder));
  return sync_path(folder);
}

void remember_files(const Artifact& artifact, const std::vector<ManifestFile>& files) {
  for (const ManifestFile& file : files) {
    const Result<FileState> state = state_of(artifact.file(file.name));
    if (state && state->size == file.bytes)
      hash_cache().remember(artifact.file(file.name), *state, file.sha256);
  }
}

Status check_file(const fs::path& path, const ManifestFile& file, bool hashes) {
  const Result<FileState> state = state_of(path);
  if (!state) {
    if (state.error().code != ErrorCode::kNotFound) return fail(state.error());
    return fail(ErrorCode::kCorrupt, "{} is missing", file.name);
  }
  if (state->size != file.bytes) {
    return fail(ErrorCode::kCorrupt, "{} has {} bytes instead of {}", file.name, state->size, file.bytes);
  }
  if (!hashes) return {};
  GAUNTLET_TRY(const std::string hash, hash_cache().hash(path, *state));
  if (hash != file.sha256)
    return fail(ErrorCode::kCorrupt, "the content of {} does not match its hash", file.name);
  return {};
}

}  // namespace

Draft::Draft(Draft&& other) noexcept : folder_(std::exchange(other.folder_, fs::path())) {}

Draft::~Draft() {
  if (folder_.empty()) return;
  std::error_code ignored;  // what stays behind is removed as stale later
  fs::remove_all(folder_, ignored);
}

fs::path ArtifactStore::folder_of(spec::JobKind kind, const JobKey& key) const {
  const std::string hex = key.hex();
  return root_ / spec::name_of(kind) / hex.substr(0, 2) / hex;
}

bool ArtifactStore::contains(spec::JobKind kind, const JobKey& key) const {
  std::error_code ignored;
  return fs::exists(folder_of(kind, key) / kManifestName, ignored);
}

Result<Draft> ArtifactStore::begin(const JobKey& key) const {
  GAUNTLET_CHECK_OK(make_directories(root_ / ".tmp"));
  const fs::path folder = root_ / ".tmp" / draft_name(key);
  if (::mkdir(folder.c_str(), 0755) != 0) return fail(system_error(errno, "create the folder", folder));
  return Draft(folder);
}

Result<Artifact> ArtifactStore::publish(Draft draft, const spec::JobSpec& job, const JobKey& key,
                                        const Json& about) const {
  Manifest manifest{job, key, about, {}, provenance_.revision, provenance_.versions};
  GAUNTLET_TRY(manifest.files, list_files(draft.folder()));
  GAUNTLET_TRY(const std::string text, write_manifest(manifest));
  GAUNTLET_CHECK_OK(write_file_atomic(draft.folder() / kManifestName, text));
  GAUNTLET_CHECK_OK(sync_folders(draft.folder()));

  const fs::path folder = folder_of(job.kind, key);
  GAUNTLET_CHECK_OK(make_directories(folder.parent_path()));
  while (::rename(draft.folder().c_str(), folder.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) return fail(system_error(errno, "write", folder));
    Result<Artifact> existing = open(job.kind, key);
    // A damaged one has been set aside, and a vanished one is out of the way: the draft takes the place.
    if (existing ||
        (existing.error().code != ErrorCode::kCorrupt && existing.error().code != ErrorCode::kNotFound)) {
      return existing;
    }
    std::error_code ignored;
    if (fs::exists(folder, ignored) && !fs::is_empty(folder, ignored)) return existing;
  }
  draft.folder_.clear();
  GAUNTLET_CHECK_OK(sync_path(folder.parent_path()));
  GAUNTLET_CHECK_OK(sync_path(folder.parent_path().parent_path()));
  Artifact artifact{folder, job, about, to_hex(sha256(text))};
  remember_files(artifact, manifest.files);
  return artifact;
}

Result<Artifact> ArtifactStore::open(spec::JobKind kind, const JobKey& key) const {
  const fs::path folder = folder_of(kind, key);
  std::error_code error;
  if (!fs::exists(folder, error) && !error) {
    return fail(ErrorCode::kNotFound, "there is no {} artifact {} in {}", spec::name_of(kind), key.brief(),
                root_.string());
  }
  Result<Artifact> checked = check(kind, key, folder);
  if (!checked && checked.error().code == ErrorCode::kCorrupt) {
    return fail(set_aside(kind, key, folder, checked.error()));
  }
  return checked;
}

Result<Artifact> ArtifactStore::look(spec::JobKind kind, const JobKey& key, bool hashes) const {
  const fs::path folder = folder_of(kind, key);
  std::error_code error;
  if (!fs::exists(folder, error) && !error) return fail(ErrorCode::kNotFound, "it is missing");
  return check(kind, key, folder, hashes);
}

Result<Artifact> ArtifactStore::check(spec::JobKind kind, const JobKey& key, const fs::path& folder,
                                      bool hashes) const {
  const Result<std::string> text = read_file(folder / kManifestName, kMaxManifestBytes);
  if (!text) {
    if (text.error().code != ErrorCode::kNotFound) return fail(text.error());
    return fail(ErrorCode::kCorrupt, "{} is missing", kManifestName);
  }
  GAUNTLET_TRY(Manifest manifest, read_manifest(*text));
  if (manifest.key != key || manifest.job.kind != kind) {
    return fail(ErrorCode::kCorrupt, "{} is that of the {} artifact {}", kManifestName,
                spec::name_of(manifest.job.kind), manifest.key.brief());
  }
  for (const ManifestFile& file : manifest.files) {
    GAUNTLET_CHECK_OK(check_file(folder / file.name, file, hashes));
  }
  return Artifact{folder, std::move(manifest.job), std::move(manifest.about), to_hex(sha256(*text))};
}

Error ArtifactStore::set_aside(spec::JobKind kind, const JobKey& key, const fs::path& folder,
                               const Error& found) const {
  const fs::path place = root_ / ".damaged" / fmt::format("{}-{}", spec::name_of(kind), draft_name(key));
  Error moved{ErrorCode::kCorrupt, fmt::format("artifact {} is damaged: {}; it was moved to {}",
                                               folder.string(), found.message, place.string())};
  const Status made = make_directories(place.parent_path());
  const bool done = made && ::rename(folder.c_str(), place.c_str()) == 0;
  if (done || (made && errno == ENOENT)) return moved;  // ENOENT: another process was faster
  const std::string reason = made ? std::generic_category().message(errno) : made.error().message;
  return {ErrorCode::kCorrupt,
          fmt::format("artifact {} is damaged: {}; it could not be moved away ({}): remove it by hand",
                      folder.string(), found.message, reason)};
}

Status ArtifactStore::remove(spec::JobKind kind, const JobKey& key) const {
  GAUNTLET_CHECK_OK(make_directories(root_ / ".tmp"));
  const fs::path folder = folder_of(kind, key);
  const fs::path place = root_ / ".tmp" / draft_name(key);
  if (::rename(folder.c_str(), place.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return fail(system_error(errno, "remove", folder));
  }
  std::error_code error;
  fs::remove_all(place, error);  // whatever stays is a draft of nobody from now on
  if (error) return fail(system_error(error.value(), "remove", place));
  fs::remove(folder.parent_path(), error);  // the folder of the key's first digits, once it is empty
  return {};
}

std::vector<fs::path> ArtifactStore::stale_drafts() const {
  std::error_code error;
  std::vector<fs::path> stale;
  for (auto it = fs::directory_iterator(root_ / ".tmp", error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (is_stale(it->path())) stale.push_back(it->path());
  }
  return stale;
}

void ArtifactStore::remove_stale_drafts() const {
  std::error_code ignored;
  for (const fs::path& draft : stale_drafts()) fs::remove_all(draft, ignored);
}

}  // namespace gauntlet::artifacts
