#include "core/transfer/incoming.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/artifacts/adopt.hpp"
#include "core/base/descriptor.hpp"
#include "core/base/files.hpp"
#include "core/transfer/chunk_hash.hpp"
#include "core/transfer/chunks.hpp"
#include "core/transfer/disk.hpp"

namespace gauntlet::transfer {
namespace {

namespace fs = std::filesystem;

constexpr auto kStaleAge = std::chrono::hours(24 * 7);

constexpr std::string_view kNotes = "held";

/// One line of the notes.
struct Note {
  std::uint64_t index = 0;
  std::uint32_t file = 0;
  std::uint32_t reserved = 0;
  std::array<char, kChunkHashBytes> hash{};
};
static_assert(sizeof(Note) == 32);

/// Chunks in memory until it is their turn to be hashed, of all artifacts of this process: 64 MiB.
constexpr int kMaxKept = 16;
std::atomic<int> n_kept = 0;

}  // namespace

fs::path checkpoint_folder(const fs::path& workdir, const JobKey& key) {
  return workdir / "checkpoints" / key.hex();
}

void remove_stale_incoming(const fs::path& workdir) {
  std::error_code error;
  for (auto it = fs::directory_iterator(workdir / "tmp" / "incoming", error);
       !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const auto touched = fs::last_write_time(it->path() / kNotes, ignored);
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
  const fs::path path = folder_ / kNotes;
  const Result<std::string> notes = read_file(path);
  if (!notes && notes.error().code == ErrorCode::kNotFound) return write_file_atomic(path, "");
  if (!notes) return fail(notes.error());
  Note note;
  for (std::size_t at = 0; at + sizeof note <= notes->size(); at += sizeof note) {
    std::memcpy(&note, notes->data() + at, sizeof note);
    const bool is_known = note.file < files_.size() && note.index < files_[note.file]->chunks.size();
    if (is_known) files_[note.file]->chunks[note.index].assign(note.hash.data(), note.hash.size());
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
      held.set_xxh3(files_[file]->chunks[index]);
    }
  }
  return wanted;
}

Status Incoming::take(proto::ArtifactChunk chunk) {
  GAUNTLET_TRY(std::string bytes, unpack_chunk(manifest_, chunk));
  const std::uint32_t file = chunk.chunk().file();
  const std::uint64_t index = chunk.chunk().index();
  const std::string known = held(file, index);
  if (known == chunk.chunk().xxh3()) return {};
  if (!known.empty())
    return fail(ErrorCode::kCorrupt, "chunk {} of {} came twice, with two contents", index,
                manifest_.files[file].name);
  GAUNTLET_CHECK_OK(write_chunk(path_of(file), bytes, index * kChunkBytes));
  GAUNTLET_CHECK_OK(note(chunk.chunk()));
  {
    const std::lock_guard lock(mutex_);
    File& about = *files_[file];
    about.chunks[index] = chunk.chunk().xxh3();
    if (index == about.n_hashed || (index > about.n_hashed && n_kept < kMaxKept))
      about.kept.insert_or_assign(index, keep(std::move(bytes)));
  }
  return advance(file);
}

Incoming::Kept Incoming::keep(std::string bytes) {
  Kept kept(new std::string(std::move(bytes)));
  ++n_kept;
  return kept;
}

void Incoming::Uncount::operator()(const std::string* bytes) const {
  --n_kept;
  delete bytes;
}

Status Incoming::note(const proto::ChunkHash& chunk) {
  Note note{.index = chunk.index(), .file = chunk.file()};
  std::memcpy(note.hash.data(), chunk.xxh3().data(), std::min(note.hash.size(), chunk.xxh3().size()));
  const fs::path path = folder_ / kNotes;
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
  Status hashed;
  while (hashed && about.n_hashed < about.chunks.size() && !about.chunks[about.n_hashed].empty()) {
    const std::uint64_t index = about.n_hashed;
    auto kept = about.kept.extract(index);
    lock.unlock();
    hashed = hash_next(file, kept.empty() ? nullptr : std::move(kept.mapped()));
    lock.lock();
    if (!hashed) continue;
    ++about.n_hashed;
    about.kept.erase(about.kept.begin(), about.kept.lower_bound(about.n_hashed));
  }
  about.hashing = false;
  return hashed;
}

Status Incoming::hash_next(std::uint32_t file, Kept content) {
  if (content == nullptr) {
    const std::uint64_t index = files_[file]->n_hashed;
    const auto n_bytes = static_cast<std::size_t>(chunk_size(manifest_.files[file].bytes, index));
    GAUNTLET_TRY(std::string bytes, read_chunk(path_of(file), index * kChunkBytes, n_bytes));
    content = keep(std::move(bytes));
  }
  files_[file]->prefix.update(std::as_bytes(std::span(content->data(), content->size())));
  return {};
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
