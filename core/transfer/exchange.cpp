#include "core/transfer/exchange.hpp"

#include <algorithm>

#include "core/artifacts/adopt.hpp"
#include "core/base/files.hpp"
#include "core/proto/convert.hpp"
#include "core/transfer/chunks.hpp"

namespace gauntlet::transfer {

template <class Thing>
std::shared_ptr<Thing> Exchange::Recent<Thing>::find(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::find_if(things_.begin(), things_.end(), [&](const auto& thing) { return thing.first == name; });
  if (found == things_.end()) return nullptr;
  things_.splice(things_.begin(), things_, found);
  return found->second;
}

template <class Thing>
void Exchange::Recent<Thing>::add(const std::string& name, std::shared_ptr<Thing> thing) {
  remove(name);
  const std::lock_guard lock(mutex_);
  things_.emplace_front(name, std::move(thing));
  if (things_.size() > kMaxOpen) things_.pop_back();
}

template <class Thing>
void Exchange::Recent<Thing>::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  things_.remove_if([&](const auto& thing) { return thing.first == name; });
}

Exchange::Exchange(std::filesystem::path workdir) : workdir_(std::move(workdir)), store_(workdir_) {
  remove_stale_incoming(workdir_);
}

bool Exchange::is_request(const proto::Frame& frame) {
  return frame.has_artifact_offer() || frame.has_artifact_chunk() || frame.has_artifact_end() ||
         frame.has_artifact_request() || frame.has_chunk_request();
}

Result<proto::Frame> Exchange::answer(proto::Frame request) {
  if (request.has_artifact_offer()) return take_offer(request.artifact_offer());
  if (request.has_artifact_chunk()) return take_chunk(std::move(*request.mutable_artifact_chunk()));
  if (request.has_artifact_end()) return take_end(request.artifact_end());
  if (request.has_artifact_request()) return give_manifest(request.artifact_request());
  if (request.has_chunk_request()) return give_chunk(request.chunk_request());
  return fail(ErrorCode::kInvalid, "this is no message about artifacts");
}

Result<proto::Frame> Exchange::take_offer(const proto::ArtifactOffer& offer) {
  proto::Frame answer;
  keep_chunk_memory();
  const std::string name = name_of_manifest(offer.manifest());
  const std::lock_guard lock(opening_);
  std::shared_ptr<Incoming> incoming = incoming_.find(name);
  if (incoming == nullptr) {
    GAUNTLET_TRY(const artifacts::Manifest manifest, read_offer(offer));
    if (!offer.checkpoint() && store_.contains(manifest.job.kind, manifest.key)) {
      // A damaged one is set aside by this, and makes room for what comes.
      const auto existing = store_.open(manifest.job.kind, manifest.key);
      if (existing) {
        answer.mutable_artifact_stored()->set_manifest(existing->manifest_hash);
        return answer;
      }
    }
    GAUNTLET_TRY(incoming, Incoming::open(workdir_, offer));
    incoming_.add(name, incoming);
  }
  *answer.mutable_artifact_wanted() = incoming->wanted();
  return answer;
}

Result<proto::Frame> Exchange::take_chunk(proto::ArtifactChunk chunk) {
  const std::string name = chunk.manifest_sha256();
  const std::shared_ptr<Incoming> incoming = incoming_.find(name);
  if (incoming == nullptr)
    return fail(ErrorCode::kNotFound, "a chunk came of an artifact that was not offered");
  const Status taken = incoming->take(std::move(chunk));
  if (!taken) {
    if (taken.error().code == ErrorCode::kNoSpace) {
      incoming_.remove(name);
      incoming->discard();
    }
    return fail(taken.error());
  }
  proto::Frame answer;
  answer.mutable_accepted();
  return answer;
}

Result<proto::Frame> Exchange::take_end(const proto::ArtifactEnd& end) {
  const std::lock_guard lock(opening_);
  const std::shared_ptr<Incoming> incoming = incoming_.find(end.manifest_sha256());
  if (incoming == nullptr)
    return fail(ErrorCode::kNotFound, "the end came of an artifact that was not offered");
  const bool is_artifact = !incoming->is_checkpoint();
  const JobKey key = incoming->manifest().key;
  const Result<std::string> stored = incoming->finish();
  if (!stored && stored.error().code == ErrorCode::kInvalid)
    return fail(stored.error());  // chunks may follow
  incoming_.remove(end.manifest_sha256());
  if (!stored) return fail(stored.error());
  std::error_code ignored;  // what stays is removed by `gauntlet gc`
  if (is_artifact) std::filesystem::remove_all(checkpoint_folder(workdir_, key), ignored);
  proto::Frame answer;
  answer.mutable_artifact_stored()->set_manifest(*stored);
  return answer;
}

Result<proto::Frame> Exchange::give_manifest(const proto::ArtifactRequest& request) {
  keep_chunk_memory();
  GAUNTLET_TRY(const JobKey key, proto::key_from_bytes(request.key()));
  artifacts::FoundManifest found;
  if (request.checkpoint()) {
    found.folder = checkpoint_folder(workdir_, key);
    GAUNTLET_TRY(found.text, read_file(found.folder / artifacts::kManifestName, kMaxManifestBytes));
  } else {
    GAUNTLET_TRY(found, artifacts::find_manifest(store_, key));
  }
  proto::Frame answer;
  answer.mutable_artifact_offer()->set_manifest(found.text);
  answer.mutable_artifact_offer()->set_checkpoint(request.checkpoint());
  GAUNTLET_TRY(artifacts::Manifest manifest, read_offer(answer.artifact_offer()));
  if (manifest.key != key)
    return fail(ErrorCode::kCorrupt, "the manifest in {} is that of {}", found.folder.string(),
                manifest.key.brief());
  outgoing_.add(name_of_manifest(found.text),
                std::make_shared<const Outgoing>(Outgoing{found.folder, std::move(manifest)}));
  return answer;
}

Result<proto::Frame> Exchange::give_chunk(const proto::ChunkRequest& request) {
  const std::shared_ptr<const Outgoing> outgoing = outgoing_.find(request.manifest_sha256());
  if (outgoing == nullptr)
    return fail(ErrorCode::kNotFound, "a chunk was asked for of an artifact that was not asked for");
  proto::Frame answer;
  GAUNTLET_TRY(*answer.mutable_artifact_chunk(),
               pack_chunk(outgoing->folder, outgoing->manifest, request.file(), request.index()));
  answer.mutable_artifact_chunk()->set_manifest_sha256(request.manifest_sha256());
  return answer;
}

}  // namespace gauntlet::transfer
