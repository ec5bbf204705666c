#include "core/proto/frame.hpp"

#include <gmock/gmock.h>

#include "core/base/random.hpp"
#include "core/proto/frame_pieces.hpp"

namespace gauntlet::proto {
namespace {

using testing::HasSubstr;

Frame hello_frame() {
  Frame frame;
  frame.set_id(7);
  frame.mutable_hello()->set_protocol(1);
  frame.mutable_hello()->set_token("t");
  frame.mutable_hello()->set_role("client");
  return frame;
}

// id = 7: 08 07; hello (field 2): 12 0d; protocol 1: 08 01; token "t": 12 01 74; role "client": 1a 06 63 6c
// 69 65 6e 74
const std::string kGolden(
    "\x11\x00\x00\x00\x08\x07\x12\x0d\x08\x01\x12\x01t\x1a\x06"
    "client",
    21);

TEST(Frame, HasTheGoldenBytes) { EXPECT_EQ(*encode_frame(hello_frame()), kGolden); }

TEST(Frame, ReadsTheGoldenBytes) {
  FrameReader reader;
  reader.feed(kGolden);
  const auto frame = reader.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->id(), 7U);
  EXPECT_EQ((*frame)->hello().token(), "t");
  EXPECT_EQ((*frame)->hello().role(), "client");
  EXPECT_EQ(reader.buffered(), 0U);
}

TEST(Frame, KeepsFieldNumbers) {
  const auto* descriptor = Frame::descriptor();
  EXPECT_EQ(descriptor->FindFieldByName("hello")->number(), 2);
  EXPECT_EQ(descriptor->FindFieldByName("submit_begin")->number(), 10);
  EXPECT_EQ(descriptor->FindFieldByName("worker_join")->number(), 40);
  EXPECT_EQ(descriptor->FindFieldByName("lease_batch")->number(), 44);
  EXPECT_EQ(descriptor->FindFieldByName("attempt_ended")->number(), 63);
}

TEST(FrameReader, WaitsWhenCutAtAnyByte) {
  for (std::size_t cut = 0; cut < kGolden.size(); ++cut) {
    FrameReader reader;
    reader.feed(std::string_view(kGolden).substr(0, cut));
    const auto early = reader.next();
    ASSERT_TRUE(early) << "cut at byte " << cut;
    EXPECT_FALSE(*early) << "cut at byte " << cut;
    reader.feed(std::string_view(kGolden).substr(cut));
    const auto whole = reader.next();
    ASSERT_TRUE(whole && *whole) << "cut at byte " << cut;
    EXPECT_EQ((*whole)->hello().role(), "client");
  }
}

TEST(FrameReader, ReadsManyFramesFedByteByByte) {
  std::string stream;
  for (std::uint64_t id = 1; id <= 50; ++id) {
    Frame frame = hello_frame();
    frame.set_id(id);
    ASSERT_TRUE(append_frame(frame, stream));
  }
  FrameReader reader;
  std::uint64_t n_read = 0;
  for (const char byte : stream) {
    reader.feed({&byte, 1});
    for (auto frame = reader.next(); *frame; frame = reader.next()) EXPECT_EQ((*frame)->id(), ++n_read);
  }
  EXPECT_EQ(n_read, 50U);
}

TEST(FrameReader, RefusesAnOversizedLengthBeforeItsBytesCome) {
  FrameReader reader;
  reader.feed(std::string_view("\x01\x00\x00\x01", 4));  // 16 MiB + 1
  const auto frame = reader.next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(frame.error().message, HasSubstr("16777217"));
  EXPECT_THAT(frame.error().message, HasSubstr("at most 16777216"));
  EXPECT_FALSE(reader.next()) << "a broken stream stays broken";
}

TEST(FrameReader, ReadsAFrameOfTheGreatestLength) {
  Frame frame;
  frame.mutable_failure()->set_message(std::string(kMaxFrameBytes - 10, 'x'));
  ASSERT_EQ(frame.ByteSizeLong(), kMaxFrameBytes);
  FrameReader reader;
  reader.feed(*encode_frame(frame));
  const auto read = reader.next();
  ASSERT_TRUE(read && *read) << read.error().message;
  EXPECT_EQ((*read)->failure().message().size(), kMaxFrameBytes - 10);
}

/// Frames from a quarter of a megabyte on are written another way.
TEST(Frame, LongOnesHaveTheBytesThatProtobufWrites) {
  Frame chunk;
  chunk.set_id(7);
  chunk.mutable_artifact_chunk()->set_manifest_sha256(std::string(32, 'm'));
  chunk.mutable_artifact_chunk()->set_raw_bytes(3);
  chunk.mutable_artifact_chunk()->set_data(std::string(5'000'003, 'x'));
  Frame many;  // no field of which is long
  for (int part = 0; part < 40'000; ++part) {
    auto& held = *many.mutable_artifact_wanted()->add_held();
    held.set_index(static_cast<std::uint64_t>(part));
    held.set_xxh3(fmt::format("hash {}", part));
  }
  for (const Frame& frame : {chunk, many}) {
    const std::string payload = frame.SerializeAsString();
    ASSERT_GT(payload.size(), 512U << 10);
    std::string out = "before";
    ASSERT_TRUE(append_frame(frame, out));
    const std::string written = out.substr(6);
    ASSERT_EQ(written.size(), kFrameHeaderBytes + payload.size());
    EXPECT_TRUE(std::string_view(written).substr(kFrameHeaderBytes) == payload);
    const auto pieces = encode_in_pieces(frame);
    ASSERT_TRUE(pieces);
    EXPECT_EQ(pieces->size(), written.size());
    std::string in_pieces;
    for (const std::string_view piece : pieces->in_order()) in_pieces += piece;
    EXPECT_TRUE(in_pieces == written);
    FrameReader reader;
    reader.feed(written);
    const auto read = reader.next();
    ASSERT_TRUE(read && *read);
    EXPECT_EQ((*read)->SerializeAsString(), payload);
  }
  EXPECT_EQ(encode_in_pieces(chunk)->field.data(), chunk.artifact_chunk().data().data())
      << "it is not copied";
  EXPECT_TRUE(encode_in_pieces(many)->field.empty());
}

TEST(Frame, ShortOnesHaveOnePiece) {
  const Frame frame = hello_frame();
  const auto pieces = encode_in_pieces(frame);
  ASSERT_TRUE(pieces);
  EXPECT_EQ(pieces->in_order()[0].size() + pieces->in_order()[2].size(), kGolden.size());
  EXPECT_EQ(pieces->text, kGolden);
}

TEST(FrameReader, HonoursASmallerLimit) {
  FrameReader reader(16);
  reader.feed(kGolden);
  EXPECT_FALSE(reader.next());
}

TEST(Frame, RefusesToWriteMoreThanTheLimit) {
  Frame frame;
  frame.mutable_failure()->set_message(std::string(kMaxFrameBytes, 'x'));
  std::string out = "before";
  const Status status = append_frame(frame, out);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("failure frame"));
  EXPECT_EQ(out, "before");
}

TEST(FrameReader, RefusesGarbage) {
  FrameReader reader;
  reader.feed(std::string_view("\x05\x00\x00\x00\xff\xff\xff\xff\xff", 9));
  const auto frame = reader.next();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::kCorrupt);
}

TEST(FrameReader, RefusesAFrameWithoutAMessage) {
  FrameReader reader;
  reader.feed(std::string_view("\x02\x00\x00\x00\x08\x01", 6));
  const auto frame = reader.next();
  ASSERT_FALSE(frame);
  EXPECT_THAT(frame.error().message, HasSubstr("no message"));
}

TEST(FrameReader, SurvivesRandomBytes) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    RandomStream random(seed);
    std::string bytes = kGolden + kGolden;
    for (int n_flips = 0; n_flips < 4; ++n_flips) {
      bytes[random.below(static_cast<std::uint32_t>(bytes.size()))] = static_cast<char>(random.below(256));
    }
    FrameReader reader(1 << 16);
    reader.feed(bytes);
    std::size_t n_frames = 0;
    for (auto frame = reader.next(); frame && *frame; frame = reader.next()) ++n_frames;
    EXPECT_LE(n_frames, 10U);
  }
}

TEST(Failure, CarriesAnErrorBothWays) {
  const Frame frame = failure_frame(3, {ErrorCode::kRefused, "wrong token"});
  EXPECT_EQ(frame.id(), 3U);
  EXPECT_EQ(error_of(frame.failure()).code, ErrorCode::kRefused);
  EXPECT_EQ(error_of(frame.failure()).message, "wrong token");
  EXPECT_EQ(error_code_from(0), ErrorCode::kInternal);
  EXPECT_EQ(error_code_from(18), ErrorCode::kJobsFailed);
  EXPECT_EQ(error_code_from(19), ErrorCode::kInternal);
}

TEST(Frame, NamesItsMessages) {
  EXPECT_EQ(name_of(Frame::kHello), "hello");
  EXPECT_EQ(name_of(Frame::kReportBatch), "report_batch");
  EXPECT_EQ(name_of(Frame::BODY_NOT_SET), "empty");
}

}  // namespace
}  // namespace gauntlet::proto
