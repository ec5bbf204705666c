// The coordinator's side without sockets: what it takes, keeps, refuses and gives.
#include "core/transfer/exchange.hpp"

#include "core/proto/convert.hpp"
#include "tests/transfer/support.hpp"

namespace gauntlet::transfer {
namespace {

using ::testing::HasSubstr;
using testing_support::TempFolder;

void give_all(Exchange& exchange, const Made& made) {
  for (std::uint32_t file = 0; file < made.manifest.files.size(); ++file) {
    // Backwards, since several connections may bring them in any order.
    for (std::uint64_t index = chunk_count(made.manifest.files[file].bytes); index-- > 0;) {
      const auto taken = exchange.answer(made.chunk(file, index));
      ASSERT_TRUE(taken) << taken.error().message;
    }
  }
}

TEST(Exchange, KeepsAnArtifactThatCameInChunks) {
  const Made made;
  const TempFolder there;
  Exchange exchange(there.path());
  const auto wanted = exchange.answer(made.offer());
  ASSERT_TRUE(wanted) << wanted.error().message;
  EXPECT_EQ(wanted->artifact_wanted().held_size(), 0);
  give_all(exchange, made);
  const auto stored = exchange.answer(made.end());
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_EQ(stored->artifact_stored().manifest(), made.hash);
  EXPECT_EQ(artifacts_of(there.path()), artifacts_of(made.work.path()));
  EXPECT_EQ(artifacts_of(there.path()).size(), 4U);
  EXPECT_EQ(n_incoming(there.path()), 0U);
  EXPECT_TRUE(artifacts::ArtifactStore(there.path()).open(made.job.kind, made.key));

  const auto again = exchange.answer(made.offer());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->artifact_stored().manifest(), made.hash);
}

TEST(Exchange, TextTravelsCompressedAndNoiseAsItIs) {
  const Made made;
  const auto text = made.chunk(made.file("deep/er/text"), 0).artifact_chunk();
  EXPECT_TRUE(text.zstd());
  EXPECT_LT(text.data().size(), 10'000U);
  EXPECT_EQ(text.raw_bytes(), kChunkBytes);
  const auto raw = made.chunk(made.file("noise.bin"), 0).artifact_chunk();
  EXPECT_FALSE(raw.zstd());
  EXPECT_EQ(raw.data().size(), kChunkBytes);
}

TEST(Exchange, GoesOnAfterARestartWithWhatIsThere) {
  const Made made;
  const TempFolder there;
  const std::uint32_t file = made.file("noise.bin");
  {
    Exchange exchange(there.path());
    ASSERT_TRUE(exchange.answer(made.offer()));
    ASSERT_TRUE(exchange.answer(made.chunk(file, 1)));
  }
  {  // a process killed within a note leaves half of it
    std::ofstream notes(std::filesystem::directory_iterator(there / "tmp/incoming")->path() / "held",
                        std::ios::app | std::ios::binary);
    notes << "half a note";
  }
  Exchange exchange(there.path());
  const auto unknown = exchange.answer(made.chunk(file, 0));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  const auto wanted = exchange.answer(made.offer());
  ASSERT_TRUE(wanted) << wanted.error().message;
  ASSERT_EQ(wanted->artifact_wanted().held_size(), 1);
  const proto::ChunkHash& held = wanted->artifact_wanted().held(0);
  EXPECT_EQ(held.file(), file);
  EXPECT_EQ(held.index(), 1U);
  EXPECT_EQ(held.xxh3(), made.chunk(file, 1).artifact_chunk().chunk().xxh3());

  const auto early = exchange.answer(made.end());
  ASSERT_FALSE(early);
  EXPECT_THAT(early.error().message, HasSubstr("is not whole: chunk 0 of deep/er/text has not come"));
  give_all(exchange, made);
  ASSERT_TRUE(exchange.answer(made.end()));
  EXPECT_EQ(artifacts_of(there.path()), artifacts_of(made.work.path()));
}

TEST(Exchange, WhatAPowerCutTookOfAHeldChunkShowsAtTheEnd) {
  const Made made;
  const TempFolder there;
  const std::uint32_t file = made.file("noise.bin");
  {
    Exchange exchange(there.path());
    ASSERT_TRUE(exchange.answer(made.offer()));
    give_all(exchange, made);
  }
  const auto incoming = std::filesystem::directory_iterator(there / "tmp/incoming")->path();
  {
    std::fstream bytes(incoming / "files" / made.manifest.files[file].name,
                       std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(100);
    bytes << std::string(4096, '\0');
  }
  Exchange exchange(there.path());
  ASSERT_TRUE(exchange.answer(made.offer()));
  const auto stored = exchange.answer(made.end());
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(stored.error().message, HasSubstr("noise.bin of artifact"));
  EXPECT_EQ(n_incoming(there.path()), 0U);
  EXPECT_TRUE(artifacts_of(there.path()).empty());
}

TEST(Exchange, RefusesWhatIsNoneOfTheArtifact) {
  const Made made;
  const TempFolder there;
  Exchange exchange(there.path());
  ASSERT_TRUE(exchange.answer(made.offer()));
  const auto refusal = [&](const std::function<void(proto::ArtifactChunk&)>& change,
                           std::string_view name = "noise.bin", std::uint64_t index = 0) {
    proto::Frame frame = made.chunk(made.file(name), index);
    change(*frame.mutable_artifact_chunk());
    const auto taken = exchange.answer(std::move(frame));
    EXPECT_FALSE(taken);
    return taken ? std::string() : taken.error().message;
  };
  using Chunk = proto::ArtifactChunk;
  EXPECT_EQ(refusal([](Chunk& chunk) { chunk.mutable_data()->push_back('x'); }),
            "chunk 0 of noise.bin came with 4194305 bytes; 4194304 were announced");
  EXPECT_EQ(refusal([](Chunk& chunk) { chunk.set_raw_bytes(1 << 30); }, "deep/er/text"),
            "chunk 0 of deep/er/text came with 1073741824 bytes; 4194304 were announced");
  EXPECT_EQ(refusal([](Chunk& chunk) { (*chunk.mutable_data())[7] ^= 1; }),
            "chunk 0 of noise.bin does not match its hash");
  EXPECT_EQ(refusal([](Chunk& chunk) { chunk.mutable_chunk()->set_xxh3("short"); }),
            "chunk 0 of noise.bin does not match its hash");
  EXPECT_EQ(refusal([](Chunk& chunk) { chunk.mutable_data()->resize(10); }, "deep/er/text"),
            "chunk 0 of deep/er/text is no zstd frame of 4194304 bytes");
  EXPECT_EQ(refusal([](Chunk& chunk) { chunk.mutable_chunk()->set_file(77); }),
            "chunk 0 of file 77 is none of artifact " + made.key.brief() + ", which has 3 files");
  EXPECT_THAT(refusal([](Chunk& chunk) { chunk.mutable_chunk()->set_index(1ULL << 60); }),
              HasSubstr("chunk 1152921504606846976 of file"));
  EXPECT_THAT(refusal([](Chunk& chunk) { chunk.set_manifest_sha256("?"); }), HasSubstr("not offered"));
  // Nothing of it was kept.
  EXPECT_EQ(exchange.answer(made.offer())->artifact_wanted().held_size(), 0);
}

TEST(Exchange, RefusesAChunkWithTwoContents) {
  const Made made;
  const TempFolder there;
  Exchange exchange(there.path());
  ASSERT_TRUE(exchange.answer(made.offer()));
  ASSERT_TRUE(exchange.answer(made.chunk(made.file("noise.bin"), 0)));
  ASSERT_TRUE(exchange.answer(made.chunk(made.file("noise.bin"), 0)));  // sent again after a lost answer
  proto::Frame other = made.chunk(made.file("noise.bin"), 1);
  other.mutable_artifact_chunk()->mutable_chunk()->set_index(0);
  const auto taken = exchange.answer(other);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message, "chunk 0 of noise.bin came twice, with two contents");
}

/// A manifest whose digest is right, whatever it lists.
proto::Frame offer_of(const Made& made, const std::function<void(artifacts::Manifest&)>& change) {
  artifacts::Manifest manifest = made.manifest;
  change(manifest);
  proto::Frame frame;
  frame.mutable_artifact_offer()->set_manifest(artifacts::write_manifest(manifest).value());
  return frame;
}

TEST(Exchange, RefusesManifestsThatLie) {
  const Made made;
  const TempFolder there;
  Exchange exchange(there.path());
  const auto refusal = [&](const std::function<void(artifacts::Manifest&)>& change) {
    const auto taken = exchange.answer(offer_of(made, change));
    EXPECT_FALSE(taken);
    return taken ? std::string() : taken.error().message;
  };
  EXPECT_EQ(refusal([](auto& manifest) { manifest.files[0].name = "../../../escaped"; }),
            "manifest.json names a file outside its folder: '../../../escaped'");
  EXPECT_EQ(refusal([](auto& manifest) { manifest.files[0].name = "/etc/escaped"; }),
            "manifest.json names a file outside its folder: '/etc/escaped'");
  EXPECT_THAT(refusal([](auto& manifest) { manifest.files[0].sha256 = "none"; }),
              HasSubstr("'none', which cannot be"));
  EXPECT_THAT(refusal([](auto& manifest) { manifest.files[0].bytes = 1ULL << 41; }),
              HasSubstr("has more than 1099511627776 bytes"));
  EXPECT_THAT(refusal([](auto& manifest) { manifest.files[0].name = "manifest.json"; }),
              HasSubstr("cannot be"));
  EXPECT_THAT(refusal([](auto& manifest) { manifest.key = JobKey{}; }), HasSubstr("names another key"));
  // More than any disk here has free, and less than is refused for its size alone.
  const auto full = exchange.answer(
      offer_of(made, [](auto& manifest) { manifest.files[0].bytes = (1ULL << 40) - (64 << 20); }));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(full.error().message,
              HasSubstr("are to come, and the disk of " + there.path().string() + " has "));
  EXPECT_EQ(n_incoming(there.path()), 0U);
  EXPECT_FALSE(std::filesystem::exists(there.path().parent_path() / "escaped"));
}

TEST(Exchange, AWrongHashInTheManifestLeavesNothing) {
  const Made made;
  const TempFolder there;
  Exchange exchange(there.path());
  const proto::Frame offer = offer_of(
      made, [&](auto& manifest) { manifest.files[made.file("noise.bin")].sha256 = std::string(64, 'a'); });
  ASSERT_TRUE(exchange.answer(offer));
  const std::string name = name_of_manifest(offer.artifact_offer().manifest());
  for (std::uint32_t file = 0; file < made.manifest.files.size(); ++file) {
    for (std::uint64_t index = 0; index < chunk_count(made.manifest.files[file].bytes); ++index) {
      proto::Frame chunk = made.chunk(file, index);
      chunk.mutable_artifact_chunk()->set_manifest_sha256(name);
      ASSERT_TRUE(exchange.answer(chunk));
    }
  }
  proto::Frame end;
  end.mutable_artifact_end()->set_manifest_sha256(name);
  const auto stored = exchange.answer(end);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(stored.error().message, HasSubstr("its manifest says aaaa"));
  EXPECT_EQ(n_incoming(there.path()), 0U);
  EXPECT_TRUE(artifacts_of(there.path()).empty());
}

TEST(Exchange, ADamagedArtifactMakesRoomForTheNewOne) {
  const Made made;
  const TempFolder there;
  std::filesystem::copy(made.work / "artifacts", there / "artifacts",
                        std::filesystem::copy_options::recursive);
  const auto folder = artifacts::ArtifactStore(there.path()).folder_of(made.job.kind, made.key);
  std::ofstream(folder / "noise.bin", std::ios::binary | std::ios::in) << "damage";
  Exchange exchange(there.path());
  const auto wanted = exchange.answer(made.offer());
  ASSERT_TRUE(wanted && wanted->has_artifact_wanted());
  give_all(exchange, made);
  ASSERT_TRUE(exchange.answer(made.end()));
  EXPECT_EQ(artifacts_of(there.path()), artifacts_of(made.work.path()));
}

TEST(Exchange, GivesWhatItHasAndSaysWhatItHasNot) {
  const Made made;
  Exchange exchange(made.work.path());
  proto::Frame ask;
  ask.mutable_artifact_request()->set_key(proto::key_bytes(made.key));
  const auto offer = exchange.answer(ask);
  ASSERT_TRUE(offer) << offer.error().message;
  EXPECT_EQ(offer->artifact_offer().manifest(), made.text);
  proto::Frame chunk;
  chunk.mutable_chunk_request()->set_manifest_sha256(made.name);
  chunk.mutable_chunk_request()->set_file(made.file("noise.bin"));
  chunk.mutable_chunk_request()->set_index(2);
  const auto given = exchange.answer(chunk);
  ASSERT_TRUE(given) << given.error().message;
  EXPECT_EQ(given->artifact_chunk().raw_bytes(), 9'000'000 - 2 * kChunkBytes);
  chunk.mutable_chunk_request()->set_index(3);
  EXPECT_THAT(exchange.answer(chunk).error().message, HasSubstr("has no chunk 3 of file"));
  ask.mutable_artifact_request()->set_checkpoint(true);
  EXPECT_EQ(exchange.answer(ask).error().code, ErrorCode::kNotFound);
  ask.mutable_artifact_request()->set_checkpoint(false);
  ask.mutable_artifact_request()->set_key(std::string(32, 'k'));
  EXPECT_EQ(exchange.answer(ask).error().code, ErrorCode::kNotFound);
  ask.mutable_artifact_request()->set_key("too short");
  EXPECT_FALSE(exchange.answer(ask));
}

}  // namespace
}  // namespace gauntlet::transfer
