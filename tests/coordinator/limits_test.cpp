// Frames have a greatest length: what is larger travels in several, or is refused in words.
#include "coordinator/net/newest_sweeps.hpp"
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/coordinator/raw_peer.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class Limits : public CoordinatorTest {
 protected:
  /// One job with a config of about so many bytes.
  static spec::JobSpec large_job(std::int64_t index, std::size_t n_bytes) {
    spec::JobSpec job = noop_spec(index);
    job.config["padding"] = std::string(n_bytes, 'x');
    return job;
  }
  static proto::Frame chunk_of(const proto::Job& job) {
    proto::Frame frame;
    *frame.mutable_submit_chunk()->add_jobs() = job;
    return frame;
  }
};

TEST_F(Limits, LeasesOfLargeJobsComeInSeveralFrames) {
  constexpr std::size_t kJobs = 6;
  start();
  client::Client client = connect();
  ASSERT_TRUE(client.request(begin_frame("large"), kPatience));
  for (std::size_t index = 0; index < kJobs; ++index) {
    const spec::JobSpec job = large_job(static_cast<std::int64_t>(index), std::size_t{4} << 20);
    ASSERT_TRUE(client.request(chunk_of(job_message(job)), kPatience));
  }
  ASSERT_TRUE(client.request(commit_frame(kJobs), kPatience));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(kJobs);
  std::size_t n_bytes = 0;
  for (const auto& [id, lease] : worker.held) n_bytes += lease.canonical().size();
  EXPECT_GT(n_bytes, proto::kMaxFrameBytes);
}

// Who has not shown the token can make the coordinator keep little; who has sends what fits a frame, also
// right behind the hello.
TEST_F(Limits, BeforeTheHelloFramesAreShort) {
  start();
  RawPeer peer(*client::find_coordinator(folder_.path()));
  const std::uint32_t n_bytes = (std::uint32_t{64} << 10) + 1;
  std::string announced(4, '\0');
  std::memcpy(announced.data(), &n_bytes, sizeof n_bytes);
  peer.say(announced);
  proto::FrameReader answers;
  answers.feed(peer.read_to_end());
  const auto refused = answers.next();
  ASSERT_TRUE(refused && *refused);
  EXPECT_THAT((*refused)->failure().message(),
              HasSubstr("announces a frame of 65537 bytes; at most 65536 are allowed"));
}

TEST_F(Limits, ALongFrameMayComeRightBehindTheHello) {
  start();
  const client::Endpoint endpoint = *client::find_coordinator(folder_.path());
  RawPeer peer(endpoint);
  proto::Frame hello;
  hello.set_id(1);
  hello.mutable_hello()->set_protocol(proto::kProtocolVersion);
  hello.mutable_hello()->set_role("client");
  hello.mutable_hello()->set_token(endpoint.token);
  proto::Frame begin = begin_frame("long");
  begin.set_id(2);
  begin.mutable_submit_begin()->set_spec_text(std::string(std::size_t{1} << 20, 'a'));
  std::string bytes = *proto::encode_frame(hello);
  ASSERT_TRUE(proto::append_frame(begin, bytes));
  bytes += "\xff\xff\xff\xff";  // so that it says all it has to say and hangs up
  peer.say(bytes);
  proto::FrameReader answers;
  answers.feed(peer.read_to_end());
  const auto welcome = answers.next();
  ASSERT_TRUE(welcome && *welcome);
  EXPECT_TRUE((*welcome)->has_welcome());
  const auto accepted = answers.next();
  ASSERT_TRUE(accepted && *accepted);
  EXPECT_TRUE((*accepted)->has_accepted()) << (*accepted)->failure().message();
  const auto refused = answers.next();
  ASSERT_TRUE(refused && *refused);
  EXPECT_THAT((*refused)->failure().message(), HasSubstr("at most 16777216 are allowed"));
}

TEST_F(Limits, AJobThatMayNotFitALeaseIsRefusedByItsTitle) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(client.request(begin_frame("huge"), kPatience));
  const auto refused = client.request(chunk_of(job_message(large_job(7, proto::kMaxJobBytes))), kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("job 'noop 7': its config, title and locations have 83887"));
  EXPECT_THAT(refused.error().message, HasSubstr("at most 8388608 are allowed"));
  EXPECT_TRUE(submit(client, "next", noops(1))) << "over the same connection";
}

TEST_F(Limits, ASweepsNameIsShort) {
  start();
  client::Client client = connect();
  const auto refused = client.request(begin_frame(std::string(1001, 'n')), kPatience);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("has 1001 bytes; at most 1000 are allowed"));
}

TEST_F(Limits, ASpecTextGoesOnInFurtherFrames) {
  start();
  client::Client client = connect();
  proto::Frame begin = begin_frame("long");
  begin.mutable_submit_begin()->set_spec_text(std::string(std::size_t{10} << 20, 'a'));
  ASSERT_TRUE(client.request(begin, kPatience));
  proto::Frame more;
  more.mutable_submit_begin()->set_spec_text(std::string(std::size_t{10} << 20, 'b'));
  ASSERT_TRUE(client.request(more, kPatience));
  ASSERT_TRUE(client.request(commit_frame(0), kPatience));
  ASSERT_TRUE(server_->stop());
  auto database = db::Connection::open_read_only(folder_ / "gauntlet.db");
  ASSERT_TRUE(database);
  EXPECT_EQ(*database->integer("SELECT length(spec_text) FROM spec_revisions"), std::int64_t{20} << 20);
  EXPECT_EQ(*database->text("SELECT substr(spec_text, 10 * 1024 * 1024, 2) FROM spec_revisions"), "ab");
}

TEST_F(Limits, StatusShortensTexts) {
  start();
  client::Client client = connect();
  std::vector<spec::JobSpec> jobs = noops(60);
  for (spec::JobSpec& job : jobs) job.title = std::string(100'000, 't');
  ASSERT_TRUE(submit(client, "talkative", jobs));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(jobs.size());
  std::vector<proto::Report> reports;
  for (const auto& [id, lease] : worker.held) {
    reports.push_back(FakeWorker::report_of(lease, static_cast<std::uint32_t>(ErrorCode::kDiverged),
                                            std::string(250'000, 'm')));
  }
  worker.report(reports);
  const auto status = status_of(client);
  ASSERT_TRUE(status) << status.error().message;
  ASSERT_EQ(status->failed_size(), 60);
  EXPECT_EQ(status->failed(0).title().size(), 1000 + std::string("…").size());
  EXPECT_THAT(status->failed(0).message(), EndsWith("mmm…"));
}

TEST(KeepNewest, DropsTheOldestSweepsThatDoNotFit) {
  proto::Frame frame;
  proto::StatusReply& reply = *frame.mutable_status_reply();
  for (std::uint64_t id = 1; id <= 100; ++id) {
    reply.add_sweeps()->set_sweep_id(id);
    reply.mutable_sweeps(static_cast<int>(id) - 1)->set_name(std::string(100, 'n'));
  }
  keep_newest(*reply.mutable_sweeps(), 20'000);
  EXPECT_EQ(reply.sweeps_size(), 100);
  keep_newest(*reply.mutable_sweeps(), 5'000);
  EXPECT_GT(reply.sweeps_size(), 40);
  EXPECT_LT(reply.ByteSizeLong(), 5'000U);
  EXPECT_EQ(reply.sweeps(reply.sweeps_size() - 1).sweep_id(), 100U);
  keep_newest(*reply.mutable_sweeps(), 50);
  EXPECT_EQ(reply.sweeps_size(), 0);
}

}  // namespace
}  // namespace gauntlet::coordinator
