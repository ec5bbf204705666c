// An artifact that arrives in chunks, in any order, on several threads, and survives the end of its process:
//
//   <workdir>/tmp/incoming/<SHA-256 of the manifest>[.checkpoint]/files/…   chunks at their places
//                                                                 held      which of them, with their hashes
//
// A chunk is written, then noted. What a power cut takes of a noted chunk shows when the whole file is hashed
// at the end, and costs all of it. Memory: 64 MiB of chunks that came before their turn to be hashed, of all
// artifacts of a process together. Thread safety: take may be called from several threads at once; everything
// else from one, and not beside it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/artifacts/manifest.hpp"
#include "core/base/hash.hpp"
#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::transfer {

class Incoming {
 public:
  /// Begins, or goes on with what is there. Errors: those of read_offer; kNoSpace when the disk has less free
  /// than is missing, kIo.
  [[nodiscard]] static Result<std::unique_ptr<Incoming>> open(const std::filesystem::path& workdir,
                                                              const proto::ArtifactOffer& offer);
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  [[nodiscard]] const artifacts::Manifest& manifest() const { return manifest_; }
  [[nodiscard]] bool is_checkpoint() const { return is_checkpoint_; }
  /// A held chunk's hash; "" when it is not held. The chunk must be one of the manifest.
  [[nodiscard]] std::string held(std::uint32_t file, std::uint64_t index) const;
  /// Held chunks as a sender is told.
  [[nodiscard]] proto::ArtifactWanted wanted() const;

  /// Writes one chunk. Errors: those of unpack_chunk; kNoSpace, kIo.
  [[nodiscard]] Status take(proto::ArtifactChunk chunk);
  /// Checks every file against the manifest, flushes, and puts the artifact (the checkpoint) in its place.
  /// Returns the SHA-256 of the manifest that is there now, hexadecimal. Errors: kInvalid (chunks are
  /// missing); kCorrupt (a file does not match its hash), kNoSpace: everything that came is removed; kIo.
  [[nodiscard]] Result<std::string> finish();
  /// Removes everything that came.
  void discard();

 private:
  struct Uncount {
    void operator()(const std::string* bytes) const;
  };
  /// Content of a chunk; those of a process are counted.
  using Kept = std::unique_ptr<std::string, Uncount>;
  struct File {
    std::vector<std::string> chunks;  ///< hashes of held chunks; "" = not held
    /// Of held chunks whose turn it is not yet, by index, as many as there is memory for; others are read
    /// again.
    std::map<std::uint64_t, Kept> kept;
    Sha256 prefix;  ///< of the first n_hashed chunks
    std::uint64_t n_hashed = 0;
    bool hashing = false;  ///< a thread has the prefix
  };

  Incoming(std::filesystem::path workdir, std::string text, bool is_checkpoint, artifacts::Manifest manifest);
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status read_notes();
  [[nodiscard]] Status check_space(std::uint64_t n_missing) const;
  [[nodiscard]] Status note(const proto::ChunkHash& chunk);
  /// Goes on with the hash of a file, as far as its chunks are held.
  [[nodiscard]] Status advance(std::uint32_t file);
  /// By one chunk; null: read again.
  [[nodiscard]] Status hash_next(std::uint32_t file, Kept content);
  [[nodiscard]] static Kept keep(std::string bytes);
  [[nodiscard]] Status check_files();
  [[nodiscard]] Result<std::string> place();
  [[nodiscard]] std::filesystem::path path_of(std::uint32_t file) const;

  std::filesystem::path workdir_;
  std::filesystem::path folder_;
  std::string text_;  ///< of manifest.json
  bool is_checkpoint_;
  artifacts::Manifest manifest_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<File>> files_;  ///< their members but `prefix`: guarded by mutex_
};

/// Name of the file a training saves within it.
inline constexpr std::string_view kCheckpointFile = "checkpoint.safetensors";
/// Where the newest checkpoint of a job lies.
[[nodiscard]] std::filesystem::path checkpoint_folder(const std::filesystem::path& workdir,
                                                      const JobKey& key);
/// Removes what nobody has gone on with for seven days.
void remove_stale_incoming(const std::filesystem::path& workdir);

}  // namespace gauntlet::transfer
