// Peers that do the wrong thing, and a work folder that does not play along.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "coordinator/store/job_store.hpp"
#include "core/base/files.hpp"
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/coordinator/raw_peer.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Peers : public CoordinatorTest {
 protected:
  client::Endpoint endpoint() {
    const auto found = client::find_coordinator(folder_.path());
    EXPECT_TRUE(found) << found.error().message;
    return *found;
  }
  void expect_alive() {
    client::Client client = connect();
    EXPECT_TRUE(status_of(client));
  }
};

std::string hello_bytes(const client::Endpoint& endpoint) {
  proto::Frame hello;
  hello.mutable_hello()->set_protocol(proto::kProtocolVersion);
  hello.mutable_hello()->set_token(endpoint.token);
  hello.mutable_hello()->set_role("client");
  return *proto::encode_frame(hello);
}

TEST_F(Peers, AWrongTokenIsRefused) {
  start();
  client::Endpoint wrong = endpoint();
  wrong.token = "guess";
  const auto refused = client::Client::connect(wrong, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("wrong token"));
  expect_alive();
}

TEST_F(Peers, WhoGuessesTokensIsSlowedDownAndTheRightOneStillOpens) {
  ServeOptions options = options_for(folder_);
  options.tokens = {.free_failures = 2, .first_pause = Milliseconds(1), .max_waiting = 0};
  start(options);
  client::Endpoint wrong = endpoint();
  wrong.token = "guess";
  for (int n_guessed = 0; n_guessed < 2; ++n_guessed) {
    EXPECT_THAT(client::Client::connect(wrong, kPatience).error().message, HasSubstr("wrong token"));
  }
  const auto third = client::Client::connect(wrong, kPatience);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(third.error().message, HasSubstr("2 wrong tokens came from 127.0.0.1"))
      << "nobody may wait here";
  crash();
  options.tokens.max_waiting = 4;
  start(options);
  for (int n_guessed = 0; n_guessed < 5; ++n_guessed) {
    wrong.port = endpoint().port;
    EXPECT_THAT(client::Client::connect(wrong, kPatience).error().message, HasSubstr("wrong token"));
  }
  expect_alive();
}

TEST_F(Peers, AnotherProtocolOrRoleIsRefused) {
  start();
  RawPeer peer(endpoint());
  proto::Frame hello;
  hello.mutable_hello()->set_version("9.8.7");
  hello.mutable_hello()->set_protocol(99);
  hello.mutable_hello()->set_token(endpoint().token);
  peer.say(*proto::encode_frame(hello));
  EXPECT_THAT(peer.read_to_end(),
              AllOf(HasSubstr("the peer (9.8.7) speaks protocol 99"), HasSubstr("speaks protocol 2")));
  const auto refused = client::Client::connect(endpoint(), kPatience, "king");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "role 'king' is unknown; allowed are client, worker");
}

TEST_F(Peers, SomethingElseBeforeHelloIsRefused) {
  start();
  RawPeer peer(endpoint());
  proto::Frame status;
  status.mutable_status_request();
  peer.say(*proto::encode_frame(status));
  EXPECT_THAT(peer.read_to_end(), HasSubstr("the first message must be hello, not status_request"));
}

TEST_F(Peers, GarbageEndsOnlyItsOwnConnection) {
  start();
  RawPeer before_hello(endpoint());
  before_hello.say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  before_hello.read_to_end();
  RawPeer after_hello(endpoint());
  after_hello.say(hello_bytes(endpoint()) + std::string("\x04\x00\x00\x00\xff\xff\xff\xff", 8));
  EXPECT_THAT(after_hello.read_to_end(), HasSubstr("not a frame of this protocol"));
  RawPeer oversized(endpoint());
  oversized.say(hello_bytes(endpoint()) + std::string("\xff\xff\xff\xff", 4));
  EXPECT_THAT(oversized.read_to_end(), HasSubstr("announces a frame of 4294967295 bytes"));
  expect_alive();
}

TEST_F(Peers, SilenceBeforeHelloIsCutOff) {
  ServeOptions options = options_for(folder_);
  options.hello_ms = 50;
  start(options);
  RawPeer peer(endpoint());
  EXPECT_EQ(peer.read_to_end(), "");
  expect_alive();
}

TEST_F(Peers, AFrameThatNeverEndsIsCutOff) {
  ServeOptions options = options_for(folder_);
  options.frame_ms = 50;
  start(options);
  RawPeer peer(endpoint());
  peer.say(hello_bytes(endpoint()) + std::string("\x40\x00\x00\x00half", 8));
  peer.read_to_end();
  expect_alive();
}

TEST_F(Peers, AClientThatDoesNotReadIsNotReadEitherAndDropped) {
  ServeOptions options = options_for(folder_);
  options.max_outbound_bytes = 1 << 20;
  options.frame_ms = 100;
  start(options);
  RawPeer peer(endpoint());
  peer.say(hello_bytes(endpoint()));
  proto::Frame explain;  // every answer repeats the long prefix
  explain.set_id(1);
  explain.mutable_explain_request()->set_key_prefix(std::string(100000, 'a'));
  const std::string bytes = *proto::encode_frame(explain);
  for (int n_asked = 0; n_asked < 2000; ++n_asked) peer.say(bytes);
  peer.read_to_end();
  expect_alive();
}

TEST_F(Peers, MessagesOfTheOtherRoleAreRefused) {
  start();
  client::Client client = connect();
  proto::Frame beat;
  beat.mutable_heartbeat();
  EXPECT_THAT(client.request(beat, kPatience).error().message,
              HasSubstr("heartbeat message is not expected"));
  proto::Frame lease;
  lease.mutable_lease_batch();
  EXPECT_THAT(client.request(lease, kPatience).error().message, HasSubstr("does not answer lease_batch"));
  auto worker = client::Client::connect(endpoint(), kPatience, "worker");
  ASSERT_TRUE(worker);
  EXPECT_THAT(worker->request(beat, kPatience).error().message, HasSubstr("not expected from this peer now"))
      << "a worker joins first";
  proto::Frame join;
  join.mutable_worker_join()->set_agent_id("a");
  join.mutable_worker_join()->set_name("host");
  EXPECT_THAT(worker->request(join, kPatience).error().message, HasSubstr("worker host offers 0 cpus"));
}

TEST_F(Peers, ASubmissionCutOffMidwayLeavesNothing) {
  start();
  {
    client::Client client = connect();
    ASSERT_TRUE(client.request(begin_frame("half"), kPatience));
    proto::Frame chunk;
    *chunk.mutable_submit_chunk()->add_jobs() = job_message(noop_spec(1));
    ASSERT_TRUE(client.request(chunk, kPatience));
  }
  client::Client client = connect();
  EXPECT_EQ(status_of(client)->sweeps_size(), 0);
  EXPECT_EQ(submit(client, "half", noops(2))->new_jobs(), 2U);
}

TEST_F(Peers, AClientThatReadsLateIsNotReadMeanwhileAndGetsEveryAnswer) {
  ServeOptions options = options_for(folder_);
  options.max_outbound_bytes = 2 << 20;
  start(options);
  constexpr std::size_t kAsked = 400;
  proto::Frame explain;  // every answer repeats the long prefix
  explain.set_id(1);
  explain.mutable_explain_request()->set_key_prefix(std::string(100000, 'a'));
  std::string asked = hello_bytes(endpoint());
  for (std::size_t n_asked = 0; n_asked < kAsked; ++n_asked) asked += *proto::encode_frame(explain);
  std::string_view unsent = asked;
  const RawPeer peer(endpoint());
  proto::FrameReader reader;
  std::string buffer(1 << 16, '\0');
  bool reads = false;  // once the coordinator takes nothing more
  for (std::size_t n_answers = 0; n_answers < kAsked + 1;) {
    ::pollfd ready{peer.socket(), static_cast<short>((unsent.empty() ? 0 : POLLOUT) | (reads ? POLLIN : 0)),
                   0};
    if (::poll(&ready, 1, reads ? 30000 : 300) == 0) {
      ASSERT_FALSE(reads) << "nothing comes after " << n_answers << " answers";
      reads = true;
      continue;
    }
    if ((ready.revents & POLLIN) != 0) {
      const ssize_t n_read = ::recv(peer.socket(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      ASSERT_GT(n_read, 0) << "dropped after " << n_answers << " answers";
      reader.feed(std::string_view(buffer).substr(0, static_cast<std::size_t>(n_read)));
      while (*reader.next()) ++n_answers;
    } else {
      const ssize_t n_sent =
          ::send(peer.socket(), unsent.data(), std::min<std::size_t>(unsent.size(), 100000),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
      ASSERT_GT(n_sent, 0) << "dropped while asking";
      unsent.remove_prefix(static_cast<std::size_t>(n_sent));
      reads = reads || unsent.empty();
    }
  }
}

TEST_F(Peers, ASubmissionIsRecordedWithWhoHandedItIn) {
  start();
  client::Client client = connect();
  proto::Frame begin = begin_frame("mine");
  begin.mutable_submit_begin()->set_user("alice");
  begin.mutable_submit_begin()->set_host("node7");
  ASSERT_TRUE(client.request(begin, kPatience));
  ASSERT_TRUE(client.request(commit_frame(0), kPatience));
  ASSERT_TRUE(server_->stop());
  auto store = store::JobStore::open(folder_ / "gauntlet.db");
  ASSERT_TRUE(store);
  auto read = store->connection().prepare("SELECT detail FROM events WHERE kind = 'submitted'");
  ASSERT_TRUE(read && read->step());
  EXPECT_EQ(read->text(0), "0 new jobs, 0 known, 0 new cells, by alice on node7");
}

TEST_F(Peers, ALongUserNameIsRefused) {
  start();
  client::Client client = connect();
  proto::Frame begin = begin_frame("mine");
  begin.mutable_submit_begin()->set_user(std::string(257, 'u'));
  EXPECT_THAT(client.request(begin, kPatience).error().message, HasSubstr("at most 256 bytes"));
}

TEST_F(Peers, BadSubmissionsAreRefusedWhole) {
  start();
  client::Client client = connect();
  proto::Frame chunk;
  EXPECT_THAT(client.request(commit_frame(0), kPatience).error().message,
              HasSubstr("starts with submit_begin"));
  *chunk.mutable_submit_chunk()->add_jobs() = job_message(noop_spec(1));
  EXPECT_THAT(client.request(chunk, kPatience).error().message, HasSubstr("starts with submit_begin"));

  ASSERT_TRUE(client.request(begin_frame("counts"), kPatience));
  ASSERT_TRUE(client.request(chunk, kPatience));
  EXPECT_THAT(client.request(commit_frame(2), kPatience).error().message,
              HasSubstr("1 jobs and 0 cells arrived"));

  ASSERT_TRUE(client.request(begin_frame("key"), kPatience));
  chunk.mutable_submit_chunk()->mutable_jobs(0)->set_canonical("{}");
  EXPECT_THAT(client.request(chunk, kPatience).error().message, HasSubstr("not the SHA-256"));
  const auto forged = client.request(commit_frame(1), kPatience);
  ASSERT_FALSE(forged);
  EXPECT_EQ(forged.error().code, ErrorCode::kInvalid);

  ASSERT_TRUE(client.request(begin_frame("resources"), kPatience));
  chunk.mutable_submit_chunk()->mutable_jobs(0)->mutable_resources()->set_gpus(99);
  EXPECT_THAT(client.request(chunk, kPatience).error().message, HasSubstr("gpus is 99"));
  EXPECT_THAT(client.request(commit_frame(1), kPatience).error().message, HasSubstr("gpus is 99"));
  EXPECT_EQ(status_of(client)->sweeps_size(), 0);
}

TEST_F(Peers, BadSelectionsAreRefused) {
  start();
  client::Client client = connect();
  proto::Frame cancel;
  cancel.mutable_cancel_request();
  EXPECT_THAT(client.request(cancel, kPatience).error().message, HasSubstr("say which jobs to cancel"));
  cancel.mutable_cancel_request()->mutable_selection()->add_states("sleeping");
  EXPECT_THAT(client.request(cancel, kPatience).error().message,
              HasSubstr("job state 'sleeping' is unknown"));
  proto::Frame pause;
  pause.mutable_pause_request()->set_sweep_id(7);
  EXPECT_EQ(client.request(pause, kPatience).error().code, ErrorCode::kNotFound);
  proto::Frame status;
  status.mutable_status_request()->set_sweep_id(7);
  EXPECT_EQ(client.request(status, kPatience).error().message, "there is no sweep 7");
}

// ---------------------------------------------------------------- work folder, start and end

TEST_F(Peers, ASecondCoordinatorIsRefusedWithThePidOfTheFirst) {
  start();
  const auto second = Server::open(options_for(folder_));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kRefused);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("process {}", ::getpid())));
}

TEST_F(Peers, ATokenOthersMayReadIsRefused) {
  const auto path = folder_.write("token", "secret\n");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const auto refused = Server::open(options_for(folder_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("chmod 600"));
  EXPECT_EQ(client::read_token(path).error().code, ErrorCode::kRefused);
}

TEST_F(Peers, TheTokenIsPrivateAndKept) {
  start();
  const std::string token = endpoint().token;
  EXPECT_EQ(token.size(), 64U);
  EXPECT_EQ(std::filesystem::status(folder_ / "token").permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  crash();
  start();
  EXPECT_EQ(endpoint().token, token);
}

TEST_F(Peers, APortInUseIsSaidInOneSentence) {
  start();
  const testing_support::TempFolder other;
  ServeOptions options = options_for(other);
  options.port = endpoint().port;
  const auto refused = Server::open(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message,
              HasSubstr(fmt::format("port {} of 127.0.0.1 is in use", options.port)));
}

TEST_F(Peers, AnUnwritableLogIsSaidInOneSentence) {
  std::filesystem::create_directories(folder_ / "logs" / "coordinator.log");
  const auto refused = Server::open(options_for(folder_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
  EXPECT_THAT(refused.error().message, HasSubstr("coordinator.log"));
}

TEST_F(Peers, NobodyListensIsUnreachable) {
  EXPECT_EQ(client::Client::connect(folder_.path(), kPatience).error().code, ErrorCode::kUnreachable);
  start();
  const client::Endpoint before = endpoint();
  ASSERT_TRUE(server_->stop());
  EXPECT_EQ(client::Client::connect(before, kPatience).error().code, ErrorCode::kUnreachable);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "coordinator.json")) << "a clean end takes its address back";
  EXPECT_THAT(client::find_coordinator(folder_.path()).error().message, HasSubstr("no coordinator serves"));
}

TEST_F(Peers, AnAddressFileThatSaysNothingIsCorrupt) {
  for (const char* text : {"{", "{}", R"({"host": 3, "port": 1})", R"({"host": "h", "port": 99999})"}) {
    folder_.write("coordinator.json", text);
    EXPECT_EQ(client::find_coordinator(folder_.path()).error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(Endpoint, IsReadFromText) {
  EXPECT_EQ(client::parse_endpoint("node1:7000", "t")->host, "node1");
  EXPECT_EQ(client::parse_endpoint("[::1]:7000", "t")->host, "::1");
  EXPECT_EQ(client::parse_endpoint("[::1]:7000", "t")->port, 7000);
  EXPECT_THAT(client::parse_endpoint("node1", "t").error().message, HasSubstr("write host:port"));
  EXPECT_THAT(client::parse_endpoint("node1:70000", "t").error().message, HasSubstr("'70000' is not a port"));
}

TEST_F(Peers, AClientMayEndTheCoordinator) {
  start();
  client::Client client = connect();
  proto::Frame shutdown;
  shutdown.mutable_shutdown_request();
  const auto reply = client.request(shutdown, kPatience);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_TRUE(reply->has_accepted());
  EXPECT_TRUE(server_->join());
}

TEST_F(Peers, AnUnusedCoordinatorEndsAfterItsLastClient) {
  ServeOptions options = options_for(folder_);
  options.exit_when_unused = true;
  options.unused_ms = 1;
  start(options);
  FakeWorker worker(folder_.path(), "agent");
  { const client::Client client = connect(); }
  EXPECT_TRUE(server_->join()) << "workers do not keep it";
}

}  // namespace
}  // namespace gauntlet::coordinator
