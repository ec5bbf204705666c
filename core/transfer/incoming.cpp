#include "core/transfer/incoming.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/artifacts/adopt.hpp"
#include "core/base/files.hpp"
#include "core/transfer/chunks.hpp"

namespace gauntlet::transfer {
namespace {

namespace fs = std::filesystem;

constexpr auto kStaleAge = std::chrono::hours(24 * 7);

/// One line of the notes.
struct Note {
  std::uint64_t index = 0;
  std::uint32_t file = 0;
  std::uint32_t reserved = 0;
  std::array<char, 32> sha256{};
};
static_assert(sizeof(Note) == 48);

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

Status write_at(int fd, std::string_view bytes, std::uint64_t offset, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n_written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n_written < 0 && errno == EINTR) continue;
    if (n_written <= 0) return fail(system_error(n_written == 0 ? ENOSPC : errno, "write", path));
    bytes.remove_prefix(static_cast<std::size_t>(n_written));
    offset += static_cast<std::uint64_t>(n_written);
  }
  return {};
}

}  // namespace

fs::path checkpoint_folder(const fs::path& workdir, const JobKey& key) {
  return workdir / "checkpoints" / key.hex();
}

void remove_stale_incoming(const fs::path& workdir) {
  std::error_code error;
  for (auto it = fs::directory_iterator(workdir / "tmp" / "incoming", error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const auto touched = fs::last_write_time(it->path() / "chunks", ignored);
    if (ignored || fs::file_time_type::clock::now() - touched > kStaleAge)
      fs::remove_all(it->path(), ignored);
  }
}

Incoming::Incoming(fs::path workdir, std::string text, bool is_checkpoint, artifacts::Manifest manifest)
    : workdir_(std::move(workdir)),
      folder_(workdir_ / "tmp" / "incoming" / (to_hex(sha256(text)) + (is_checkpoint ? ".checkpoint" : ""))),
      text_(std::move(text)),
      is_checkpoint_(is_checkpoint),
      manifest_(std::move(manifest)) {
  for (const artifacts::ManifestFile& file : manifest_.files) {
    files_.push_back(std::make_unique<File>());
    files_.back()->chunks.resize(static_cast<std::size_t>(chunk_count(file.bytes)));
  }
}

Result<std::unique_ptr<Incoming>> Incoming::open(const fs::path& workdir, const proto::ArtifactOffer& offer) {
  GAUNTLET_TRY(artifacts::Manifest manifest, read_offer(offer));
  std::unique_ptr<Incoming> incoming(
      new Incoming(workdir, offer.manifest(), offer.checkpoint(), std::move(manifest)));
  const Status prepared = incoming->prepare();
  if (!prepared) {
    incoming->discard();
    return fail(prepared.error());
  }
  return incoming;
}

fs::path Incoming::path_of(std::uint32_t file) const {
  return folder_ / "files" / manifest_.files[file].name;
}

Status Incoming::prepare() {
  GAUNTLET_CHECK_OK(make_directories(folder_ / "files"));
  GAUNTLET_CHECK_OK(read_notes());
  std::uint64_t n_missing = 0;
  for (std::uint32_t file = 0; file < files_.size(); ++file) {
    const std::uint64_t n_bytes = manifest_.files[file].bytes;
    for (std::uint64_t index = 0; index < files_[file]->chunks.size(); ++index) {
      if (files_[file]->chunks[index].empty()) n_missing += chunk_size(n_bytes, index);
    }
    const fs::path path = path_of(file);
    GAUNTLET_CHECK_OK(make_directories(path.parent_path()));
    const Descriptor made(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (made.get() < 0 || ::ftruncate(made.get(), static_cast<off_t>(n_bytes)) != 0)
      return fail(system_error(errno, "create", path));
  }
  return check_space(n_missing);
}

Status Incoming::check_space(std::uint64_t n_missing) const {
  struct ::statvfs disk {};
  if (::statvfs(folder_.c_str(), &disk) != 0) return {};  // the writes will tell
  const std::uint64_t n_free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (n_missing <= n_free) return {};
  return fail(ErrorCode::kNoSpace,
              "{} bytes of the {} artifact {} are to come, and the disk of {} has {} free", n_missing,
              spec::name_of(manifest_.job.kind), manifest_.key.brief(), workdir_.string(), n_free);
}

Status Incoming::read_notes() {
  const fs::path path = folder_ / "chunks";
  const Result<std::string> notes = read_file(path);
  if (!notes && notes.error().code == ErrorCode::kNotFound) return write_file_atomic(path, "");
  if (!notes) return fail(notes.error());
  Note note;
  for (std::size_t at = 0; at + sizeof note <= notes->size(); at += sizeof note) {
    std::memcpy(&note, notes->data() + at, sizeof note);
    const bool is_known = note.file < files_.size() && note.index < files_[note.file]->chunks.size();
    if (is_known) files_[note.file]->chunks[note.index].assign(note.sha256.data(), note.sha256.size());
  }
  // Half a note, of a process killed within a write: the next one must begin where notes begin.
  const std::size_t n_rest = notes->size() % sizeof note;
  if (n_rest != 0 && ::truncate(path.c_str(), static_cast<off_t>(notes->size() - n_rest)) != 0)
    return fail(system_error(errno, "write", path));
  return {};
}

std::string Incoming::held(std::uint32_t file, std::uint64_t index) const {
  const std::lock_guard lock(mutex_);
  return files_[file]->chunks[index];
}

proto::ArtifactWanted Incoming::wanted() const {
  const std::lock_guard lock(mutex_);
  proto::ArtifactWanted wanted;
  for (std::uint32_t file = 0; file < files_.size(); ++file) {
    for (std::uint64_t index = 0; index < files_[file]->chunks.size(); ++index) {
      if (files_[file]->chunks[index].empty()) continue;
      proto::ChunkHash& held = *wanted.add_held();
      held.set_file(file);
      held.set_index(index);
      held.set_sha256(files_[file]->chunks[index]);
    }
  }
  return wanted;
}

Status Incoming::take(proto::ArtifactChunk chunk) {
  GAUNTLET_TRY(const std::string bytes, unpack_chunk(manifest_, chunk));
  const std::uint32_t file = chunk.chunk().file();
  const std::uint64_t index = chunk.chunk().index();
  const std::string known = held(file, index);
  if (known == chunk.chunk().sha256()) return {};
  if (!known.empty())
    return fail(ErrorCode::kCorrupt, "chunk {} of {} came twice, with two contents", index,
                manifest_.files[file].name);
  GAUNTLET_CHECK_OK(write(file, index, bytes));
  GAUNTLET_CHECK_OK(note(chunk.chunk()));
  File& about = *files_[file];
  {
    std::unique_lock lock(mutex_);
    about.chunks[index] = chunk.chunk().sha256();
    if (about.hashing || about.n_hashed != index) return {};
    about.hashing = true;
    lock.unlock();
    about.prefix.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
    lock.lock();
    ++about.n_hashed;
    about.hashing = false;
  }
  return advance(file);
}

Status Incoming::write(std::uint32_t file, std::uint64_t index, std::string_view bytes) const {
  const fs::path path = path_of(file);
  const Descriptor target(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (target.get() < 0) return fail(system_error(errno, "write", path));
  const std::uint64_t offset = index * kChunkBytes;
  GAUNTLET_CHECK_OK(write_at(target.get(), bytes, offset, path));
  // The disk begins now, so that the flush at the end has little left to wait for.
  ::sync_file_range(target.get(), static_cast<off_t>(offset), static_cast<off_t>(bytes.size()),
                    SYNC_FILE_RANGE_WRITE);
  return {};
}

Status Incoming::note(const proto::ChunkHash& chunk) {
  Note note{.index = chunk.index(), .file = chunk.file()};
  std::memcpy(note.sha256.data(), chunk.sha256().data(), std::min(note.sha256.size(), chunk.sha256().size()));
  const fs::path path = folder_ / "chunks";
  const std::lock_guard lock(mutex_);
  const Descriptor notes(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (notes.get() < 0) return fail(system_error(errno, "write", path));
  const ssize_t n_written = ::write(notes.get(), &note, sizeof note);
  if (n_written != static_cast<ssize_t>(sizeof note))
    return fail(system_error(n_written < 0 ? errno : ENOSPC, "write", path));
  return {};
}

Status Incoming::advance(std::uint32_t file) {
  File& about = *files_[file];
  std::unique_lock lock(mutex_);
  if (about.hashing) return {};  // that thread goes on with what is held by then
  about.hashing = true;
  Status read;
  std::string bytes;
  const fs::path path = path_of(file);
  while (read && about.n_hashed < about.chunks.size() && !about.chunks[about.n_hashed].empty()) {
    const std::uint64_t index = about.n_hashed;
    lock.unlock();
    bytes.resize(chunk_size(manifest_.files[file].bytes, index));
    const Descriptor source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    const ssize_t n_read = source.get() < 0 ? -1
                                            : ::pread(source.get(), bytes.data(), bytes.size(),
                                                      static_cast<off_t>(index * kChunkBytes));
    if (n_read != static_cast<ssize_t>(bytes.size())) {
      read = fail(system_error(n_read < 0 ? errno : EIO, "read", path));
    } else {
      about.prefix.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
    }
    lock.lock();
    if (read) ++about.n_hashed;
  }
  about.hashing = false;
  return read;
}

Status Incoming::check_files() {
  for (std::uint32_t file = 0; file < files_.size(); ++file) {
    const artifacts::ManifestFile& about = manifest_.files[file];
    GAUNTLET_CHECK_OK(advance(file));
    const std::size_t n_chunks = files_[file]->chunks.size();
    if (files_[file]->n_hashed < n_chunks) {
      return fail(ErrorCode::kInvalid, "the artifact {} is not whole: chunk {} of {} has not come",
                  manifest_.key.brief(), files_[file]->n_hashed, about.name);
    }
  }
  for (std::uint32_t file = 0; file < files_.size(); ++file) {
    const artifacts::ManifestFile& about = manifest_.files[file];
    const std::string hash = to_hex(files_[file]->prefix.finish());
    if (hash != about.sha256) {
      return fail(ErrorCode::kCorrupt, "{} of artifact {} came with the hash {}; its manifest says {}",
                  about.name, manifest_.key.brief(), hash, about.sha256);
    }
    GAUNTLET_CHECK_OK(artifacts::sync_path(path_of(file)));
  }
  return {};
}

Result<std::string> Incoming::place() {
  if (!is_checkpoint_) {
    GAUNTLET_TRY(const artifacts::Artifact artifact,
                 artifacts::adopt(artifacts::ArtifactStore(workdir_), folder_ / "files", text_));
    return artifact.manifest_hash;
  }
  const fs::path target = checkpoint_folder(workdir_, manifest_.key);
  GAUNTLET_CHECK_OK(write_file_atomic(folder_ / "files" / artifacts::kManifestName, text_));
  GAUNTLET_CHECK_OK(make_directories(target.parent_path()));
  std::error_code error;  // between these two lines there is no checkpoint, which costs its epochs only
  fs::remove_all(target, error);
  if (::rename((folder_ / "files").c_str(), target.c_str()) != 0)
    return fail(system_error(errno, "write", target));
  GAUNTLET_CHECK_OK(artifacts::sync_path(target.parent_path()));
  return to_hex(sha256(text_));
}

Result<std::string> Incoming::finish() {
  const Status checked = check_files();
  if (!checked) {
    if (checked.error().code != ErrorCode::kInvalid && checked.error().code != ErrorCode::kIo) discard();
    return fail(checked.error());
  }
  Result<std::string> placed = place();
  discard();
  return placed;
}

void Incoming::discard() {
  std::error_code ignored;  // what stays is removed as stale later
  fs::remove_all(folder_, ignored);
}

}  // namespace gauntlet::transfer
