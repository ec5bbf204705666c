#include "worker/transfer/moves.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/artifacts/adopt.hpp"
#include "core/base/files.hpp"
#include "core/proto/convert.hpp"
#include "core/transfer/chunks.hpp"
#include "core/transfer/incoming.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using artifacts::Manifest;

constexpr Milliseconds kConnectLimit{5'000};
/// How often somebody who waits looks whether it is still wanted.
constexpr Milliseconds kLook{100};
constexpr Milliseconds kChunkPatience{60'000};
/// The coordinator may hash and flush the whole artifact meanwhile.
constexpr Milliseconds kArtifactPatience{900'000};
constexpr Milliseconds kFirstPause{50};
constexpr Milliseconds kLongestPause{2000};

Error interrupted() { return {ErrorCode::kInterrupted, "the transfer was given up"}; }

bool is_cancelled(const Route& route) { return route.cancelled != nullptr && route.cancelled->load(); }

/// Whether another connection may do better.
bool is_passing(const Error& error) {
  return error.code == ErrorCode::kUnreachable || error.code == ErrorCode::kTimedOut;
}

/// A connection with several requests under way; answers come in the order of the requests.
class Line {
 public:
  [[nodiscard]] static Result<Line> open(const Route& route) {
    GAUNTLET_TRY(const client::Endpoint endpoint, route.find());
    GAUNTLET_TRY(client::Client client, client::Client::connect(endpoint, kConnectLimit, "worker"));
    return Line(std::move(client), route);
  }

  [[nodiscard]] Status ask(proto::Frame frame) {
    frame.set_id(++last_id_);
    return client_.send(frame, kChunkPatience);
  }
  [[nodiscard]] Result<proto::Frame> answer(Milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!is_cancelled(*route_)) {
      Result<proto::Frame> frame = client_.receive(kLook);
      if (!frame && frame.error().code == ErrorCode::kTimedOut &&
          std::chrono::steady_clock::now() < deadline) {
        continue;
      }
      if (frame && frame->has_failure()) return fail(proto::error_of(frame->failure()));
      return frame;
    }
    return fail(interrupted());
  }
  [[nodiscard]] Result<proto::Frame> request(proto::Frame frame) {
    GAUNTLET_CHECK_OK(ask(std::move(frame)));
    return answer(kArtifactPatience);
  }

 private:
  Line(client::Client client, const Route& route) : client_(std::move(client)), route_(&route) {}

  client::Client client_;
  const Route* route_;
  std::uint64_t last_id_ = 1000;  // above those of the client itself
};

struct Place {
  std::uint32_t file = 0;
  std::uint64_t index = 0;
};

std::vector<Place> all_places(const Manifest& manifest) {
  std::vector<Place> places;
  for (std::uint32_t file = 0; file < manifest.files.size(); ++file) {
    const std::uint64_t n_chunks = transfer::chunk_count(manifest.files[file].bytes);
    for (std::uint64_t index = 0; index < n_chunks; ++index) places.push_back({file, index});
  }
  return places;
}

/// Chunks handed out to the connections of one move, each once.
class Work {
 public:
  Work(const Route& route, std::vector<Place> places) : route_(route), places_(std::move(places)) {}

  [[nodiscard]] std::optional<Place> next() {
    if (failed_ || is_cancelled(route_)) return std::nullopt;
    const std::size_t at = next_++;
    return at < places_.size() ? std::optional(places_[at]) : std::nullopt;
  }
  void done() {
    const std::size_t n_done = ++n_done_;
    route_.on_progress(static_cast<double>(n_done) / static_cast<double>(places_.size()));
  }
  void fail_with(const Error& error) {
    const std::lock_guard lock(mutex_);
    // What ends the move counts more than a connection that broke.
    if (!error_ || (is_passing(*error_) && !is_passing(error))) error_ = error;
    failed_ = true;
  }
  /// Runs `stream` on threads of its own, one per connection.
  [[nodiscard]] Status run(const std::function<Status(Work&)>& stream) {
    const std::size_t most = places_.size() / kWindow + 1;
    const std::size_t n_streams = std::min<std::size_t>(static_cast<std::size_t>(route_.n_streams), most);
    {
      std::vector<std::jthread> threads;
      for (std::size_t at = 0; at < n_streams; ++at) {
        threads.emplace_back([&] {
          if (const Status moved = stream(*this); !moved) fail_with(moved.error());
        });
      }
    }
    if (is_cancelled(route_)) return fail(interrupted());
    if (error_) return fail(*error_);
    return {};
  }

 private:
  const Route& route_;
  std::vector<Place> places_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::size_t> n_done_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::optional<Error> error_;
};

/// The coordinator forgets what nobody has gone on with; then all begins with another offer or request.
tl::unexpected<Error> of_chunk(Error error) {
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kUnreachable;
  return fail(std::move(error));
}

/// Again and again, until it is done or cannot be.
template <class Once>
[[nodiscard]] auto persist(const Route& route, const Once& once) -> decltype(once()) {
  Milliseconds pause = kFirstPause;
  for (;;) {
    if (is_cancelled(route)) return fail(interrupted());
    auto moved = once();
    if (moved || !is_passing(moved.error())) return moved;
    for (Milliseconds waited{0}; waited < pause && !is_cancelled(route); waited += kLook)
      std::this_thread::sleep_for(std::min(kLook, pause));
    pause = std::min(pause * 2, kLongestPause);
  }
}

// ---------------------------------------------------------------- push

using Held = std::map<std::pair<std::uint32_t, std::uint64_t>, std::string>;

struct Parcel {
  fs::path folder;
  std::string name;  ///< on the wire
  Manifest manifest;
  Held held;  ///< there already
};

Status push_stream(const Route& route, const Parcel& parcel, Work& work) {
  GAUNTLET_TRY(Line line, Line::open(route));
  int n_waiting = 0;
  for (;;) {
    std::optional<Place> place;
    if (n_waiting < kWindow) place = work.next();
    if (!place && n_waiting == 0) return {};
    if (!place) {
      const Result<proto::Frame> taken = line.answer(kChunkPatience);
      if (!taken) return of_chunk(taken.error());
      --n_waiting;
      work.done();
      continue;
    }
    proto::Frame frame;
    GAUNTLET_TRY(*frame.mutable_artifact_chunk(),
                 transfer::pack_chunk(parcel.folder, parcel.manifest, place->file, place->index));
    const auto there = parcel.held.find({place->file, place->index});
    if (there != parcel.held.end() && there->second == frame.artifact_chunk().chunk().xxh3()) {
      work.done();
      continue;
    }
    frame.mutable_artifact_chunk()->set_manifest_sha256(parcel.name);
    GAUNTLET_CHECK_OK(line.ask(std::move(frame)));
    ++n_waiting;
  }
}

Result<std::string> push_once(const Route& route, const proto::ArtifactOffer& offer, Parcel& parcel) {
  GAUNTLET_TRY(Line line, Line::open(route));
  proto::Frame frame;
  *frame.mutable_artifact_offer() = offer;
  GAUNTLET_TRY(const proto::Frame answer, line.request(std::move(frame)));
  if (answer.has_artifact_stored()) return answer.artifact_stored().manifest();
  parcel.held.clear();
  for (const proto::ChunkHash& chunk : answer.artifact_wanted().held())
    parcel.held.insert_or_assign({chunk.file(), chunk.index()}, chunk.xxh3());
  Work work(route, all_places(parcel.manifest));
  GAUNTLET_CHECK_OK(work.run([&](Work& shared) { return push_stream(route, parcel, shared); }));
  proto::Frame end;
  end.mutable_artifact_end()->set_manifest_sha256(parcel.name);
  // A connection of its own: the first one may have been silent for longer than the coordinator bears.
  GAUNTLET_TRY(Line last, Line::open(route));
  const Result<proto::Frame> stored = last.request(std::move(end));
  if (!stored) return of_chunk(stored.error());
  return stored->artifact_stored().manifest();
}

// ---------------------------------------------------------------- fetch

Status fetch_stream(const Route& route, const std::string& name, transfer::Incoming& incoming, Work& work) {
  GAUNTLET_TRY(Line line, Line::open(route));
  int n_waiting = 0;
  for (;;) {
    std::optional<Place> place;
    if (n_waiting < kWindow) place = work.next();
    if (!place && n_waiting == 0) return {};
    if (!place) {
      Result<proto::Frame> chunk = line.answer(kChunkPatience);
      if (!chunk) return of_chunk(chunk.error());
      GAUNTLET_CHECK_OK(incoming.take(std::move(*chunk->mutable_artifact_chunk())));
      --n_waiting;
      work.done();
      continue;
    }
    proto::Frame frame;
    frame.mutable_chunk_request()->set_manifest_sha256(name);
    frame.mutable_chunk_request()->set_file(place->file);
    frame.mutable_chunk_request()->set_index(place->index);
    GAUNTLET_CHECK_OK(line.ask(std::move(frame)));
    ++n_waiting;
  }
}

/// Whether this machine has a checkpoint that was saved later, or the same.
bool has_newer_checkpoint(const fs::path& workdir, const Manifest& manifest) {
  struct ::stat about {};
  const fs::path file = transfer::checkpoint_folder(workdir, manifest.key) / transfer::kCheckpointFile;
  if (::stat(file.c_str(), &about) != 0) return false;
  const Json& saved_ns = manifest.about.contains("saved_ns") ? manifest.about["saved_ns"] : Json(0);
  return saved_ns.is_number_integer() &&
         std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec >= saved_ns;
}

/// Whether the same one is in the work folder; another one is taken away, so that this one can come.
bool has_it(const fs::path& workdir, const Manifest& manifest, const std::string& hash, bool is_checkpoint) {
  if (is_checkpoint) return has_newer_checkpoint(workdir, manifest);
  const artifacts::ArtifactStore store(workdir);
  const auto here = store.look(manifest.job.kind, manifest.key, false);
  if (here && here->manifest_hash == hash) return true;
  if (here) static_cast<void>(store.remove(manifest.job.kind, manifest.key));
  return false;
}

Result<std::string> fetch_once(const Route& route, const fs::path& workdir, const JobKey& key,
                               bool is_checkpoint) {
  proto::ArtifactOffer offer;
  {
    GAUNTLET_TRY(Line line, Line::open(route));
    proto::Frame frame;
    frame.mutable_artifact_request()->set_key(proto::key_bytes(key));
    frame.mutable_artifact_request()->set_checkpoint(is_checkpoint);
    GAUNTLET_TRY(proto::Frame answer, line.request(std::move(frame)));
    offer = std::move(*answer.mutable_artifact_offer());
  }
  GAUNTLET_TRY(const Manifest manifest, transfer::read_offer(offer));
  if (manifest.key != key) {
    return fail(ErrorCode::kCorrupt, "asked for artifact {}, the coordinator gave {}", key.brief(),
                manifest.key.brief());
  }
  const std::string hash = to_hex(sha256(offer.manifest()));
  if (has_it(workdir, manifest, hash, is_checkpoint)) return hash;
  offer.set_checkpoint(is_checkpoint);
  GAUNTLET_TRY(const auto incoming, transfer::Incoming::open(workdir, offer));
  std::vector<Place> places = all_places(manifest);
  std::erase_if(places, [&](const Place& place) { return !incoming->held(place.file, place.index).empty(); });
  Work work(route, std::move(places));
  const std::string name = transfer::name_of_manifest(offer.manifest());
  const Status came = work.run([&](Work& shared) { return fetch_stream(route, name, *incoming, shared); });
  if (came) return incoming->finish();
  // What a lost connection leaves is gone on with; anything else would only lie there.
  if (!is_passing(came.error()) && came.error().code != ErrorCode::kInterrupted) incoming->discard();
  return fail(came.error());
}

}  // namespace

Result<std::string> push_artifact(const Route& route, const fs::path& folder, bool is_checkpoint) {
  transfer::keep_chunk_memory();
  proto::ArtifactOffer offer;
  GAUNTLET_TRY(*offer.mutable_manifest(),
               read_file(folder / artifacts::kManifestName, transfer::kMaxManifestBytes));
  offer.set_checkpoint(is_checkpoint);
  Parcel parcel{folder, transfer::name_of_manifest(offer.manifest()), {}, {}};
  GAUNTLET_TRY(parcel.manifest, transfer::read_offer(offer));
  return persist(route, [&] { return push_once(route, offer, parcel); });
}

Result<std::string> fetch_artifact(const Route& route, const fs::path& workdir, const JobKey& key,
                                   bool is_checkpoint) {
  transfer::keep_chunk_memory();
  return persist(route, [&] { return fetch_once(route, workdir, key, is_checkpoint); });
}

}  // namespace gauntlet::worker
