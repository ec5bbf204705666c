// Artifacts of noise, for tests that move them.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/artifacts/adopt.hpp"
#include "core/artifacts/manifest.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/random.hpp"
#include "core/transfer/chunks.hpp"
#include "core/transfer/exchange.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::transfer {

inline std::string noise(std::size_t n_bytes, std::uint64_t seed) {
  std::string bytes(n_bytes, '\0');
  RandomStream random = RandomStream::of(seed, 1, 0);
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

/// An artifact in a work folder of its own.
class Made {
 public:
  explicit Made(std::size_t n_noise = 9'000'000, std::uint64_t seed = 1) {
    job.kind = spec::JobKind::kTrainModel;
    job.entry = "none";
    job.seed = seed;
    key = spec::key_of(job).value();
    const artifacts::ArtifactStore store(work.path(), {"abc", {}});
    auto draft = store.begin(key);
    EXPECT_TRUE(draft) << draft.error().message;
    std::ofstream(draft->folder() / "noise.bin", std::ios::binary) << noise(n_noise, seed);
    std::filesystem::create_directories(draft->folder() / "deep" / "er");
    std::ofstream(draft->folder() / "deep" / "er" / "text") << std::string(5'000'000, 'a');
    std::ofstream(draft->folder() / "empty") << "";
    const auto made = store.publish(std::move(*draft), job, key, {{"n", 1}});
    EXPECT_TRUE(made) << made.error().message;
    folder = made->folder;
    hash = made->manifest_hash;
    text = read_file(folder / artifacts::kManifestName).value();
    manifest = artifacts::read_manifest(text).value();
    name = name_of_manifest(text);
  }

  [[nodiscard]] proto::Frame offer() const {
    proto::Frame frame;
    frame.mutable_artifact_offer()->set_manifest(text);
    return frame;
  }
  [[nodiscard]] proto::Frame chunk(std::uint32_t file, std::uint64_t index) const {
    proto::Frame frame;
    *frame.mutable_artifact_chunk() = pack_chunk(folder, manifest, file, index).value();
    frame.mutable_artifact_chunk()->set_manifest_sha256(name);
    return frame;
  }
  [[nodiscard]] proto::Frame end() const {
    proto::Frame frame;
    frame.mutable_artifact_end()->set_manifest_sha256(name);
    return frame;
  }
  /// Place of a file in the manifest.
  [[nodiscard]] std::uint32_t file(std::string_view name_of_file) const {
    for (std::uint32_t at = 0; at < manifest.files.size(); ++at) {
      if (manifest.files[at].name == name_of_file) return at;
    }
    ADD_FAILURE() << name_of_file;
    return 0;
  }

  testing_support::TempFolder work;
  spec::JobSpec job;
  JobKey key;
  std::filesystem::path folder;
  std::string hash;
  std::string text;
  std::string name;
  artifacts::Manifest manifest;
};

/// Everything in a work folder's artifacts, name → content.
inline std::map<std::string, std::string> artifacts_of(const std::filesystem::path& workdir) {
  std::map<std::string, std::string> all;
  const std::filesystem::path root = workdir / "artifacts";
  if (!std::filesystem::exists(root)) return all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string relative = entry.path().lexically_relative(root).string();
    if (entry.is_regular_file() && !relative.starts_with('.'))
      all.emplace(relative, read_file(entry.path()).value());
  }
  return all;
}

/// What lies half-way in a work folder.
inline std::size_t n_incoming(const std::filesystem::path& workdir) {
  const std::filesystem::path folder = workdir / "tmp" / "incoming";
  if (!std::filesystem::exists(folder)) return 0;
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

/// Chunks that are noted as held, of all that comes.
inline std::uint64_t n_held(const std::filesystem::path& workdir) {
  constexpr std::uint64_t kNoteBytes = 32;
  std::uint64_t n_bytes = 0;
  std::error_code error;  // what comes may be whole, and gone, by now
  for (const auto& coming : std::filesystem::directory_iterator(workdir / "tmp" / "incoming", error)) {
    const std::uint64_t more = std::filesystem::file_size(coming.path() / "held", error);
    if (!error) n_bytes += more;
  }
  return n_bytes / kNoteBytes;
}

}  // namespace gauntlet::transfer
