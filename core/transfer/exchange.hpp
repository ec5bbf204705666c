// The coordinator's side of moving artifacts: answers what workers ask, one message at a time, from the disk
// of its work folder. Memory: about 100 bytes per chunk of the kMaxOpen artifacts used last, what Incoming
// keeps, and the message in hand. Thread safety: any thread; slow, since it reads, writes and hashes.
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/result.hpp"
#include "core/transfer/incoming.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::transfer {

class Exchange {
 public:
  static constexpr std::size_t kMaxOpen = 64;

  /// Removes what was left half-way long ago.
  explicit Exchange(std::filesystem::path workdir);

  /// Whether this is a message for answer().
  [[nodiscard]] static bool is_request(const proto::Frame& frame);
  /// The body of the answer; `id` is left to the caller. Errors: those of Incoming and pack_chunk; kNotFound
  /// for an artifact that is not there, or that was not offered or asked for lately (do so again).
  [[nodiscard]] Result<proto::Frame> answer(proto::Frame request);

 private:
  struct Outgoing {
    std::filesystem::path folder;
    artifacts::Manifest manifest;
  };
  /// Artifacts by name, the one used last first.
  template <class Thing>
  class Recent {
   public:
    [[nodiscard]] std::shared_ptr<Thing> find(const std::string& name);
    void add(const std::string& name, std::shared_ptr<Thing> thing);
    void remove(const std::string& name);

   private:
    std::mutex mutex_;
    std::list<std::pair<std::string, std::shared_ptr<Thing>>> things_;
  };

  [[nodiscard]] Result<proto::Frame> take_offer(const proto::ArtifactOffer& offer);
  [[nodiscard]] Result<proto::Frame> take_chunk(proto::ArtifactChunk chunk);
  [[nodiscard]] Result<proto::Frame> take_end(const proto::ArtifactEnd& end);
  [[nodiscard]] Result<proto::Frame> give_manifest(const proto::ArtifactRequest& request);
  [[nodiscard]] Result<proto::Frame> give_chunk(const proto::ChunkRequest& request);

  std::filesystem::path workdir_;
  artifacts::ArtifactStore store_;
  std::mutex opening_;  ///< one offer at a time, so that several connections share one Incoming
  Recent<Incoming> incoming_;
  Recent<const Outgoing> outgoing_;
};

}  // namespace gauntlet::transfer
