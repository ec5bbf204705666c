// TLS between real sockets: who talks to whom, and what those read who do not.
#include <sys/stat.h>

#include <csignal>

#include "core/tls/identity.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/coordinator/raw_peer.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;

class TlsConnections : public CoordinatorTest {
 protected:
  static void SetUpTestSuite() { std::signal(SIGPIPE, SIG_IGN); }  // as the program does

  ServeOptions with_tls() {
    ServeOptions options = options_for(folder_);
    options.tls = true;
    return options;
  }
  client::Endpoint endpoint() {
    const auto found = client::find_coordinator(folder_.path());
    EXPECT_TRUE(found) << found.error().message;
    return *found;
  }
};

TEST_F(TlsConnections, TheFingerprintIsReadFromTheWorkFolderAndWorkGoesThrough) {
  start(with_tls());
  EXPECT_EQ(endpoint().trust.fingerprint.size(), 64U);
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "noops", noops(500)));
  FakeWorker worker(folder_.path(), "agent");
  worker.work_until(500);
  EXPECT_EQ(count_in(client, "done"), 500U);
}

TEST_F(TlsConnections, TheCertificateIsKept) {
  start(with_tls());
  const std::string fingerprint = endpoint().trust.fingerprint;
  struct ::stat facts {};
  ASSERT_EQ(::stat((folder_ / "tls.key").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
  crash();
  start(with_tls());
  EXPECT_EQ(endpoint().trust.fingerprint, fingerprint);
}

TEST_F(TlsConnections, AnotherFingerprintIsRefusedBeforeTheTokenIsSent) {
  start(with_tls());
  client::Endpoint wrong = endpoint();
  wrong.trust.fingerprint = std::string(64, 'a');
  const auto refused = client::Client::connect(wrong, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("has the fingerprint " + endpoint().trust.fingerprint));
  EXPECT_THAT(refused.error().message, HasSubstr("nothing was said to it"));
}

TEST_F(TlsConnections, ACaFileIsEnoughAndAnothersIsNot) {
  start(with_tls());
  client::Endpoint by_ca = endpoint();
  by_ca.trust = {.fingerprint = "", .ca_file = folder_ / "tls.crt"};
  EXPECT_TRUE(client::Client::connect(by_ca, kPatience))
      << "the certificate is its own CA and names 127.0.0.1";
  const testing_support::TempFolder other;
  ASSERT_TRUE(tls::own_identity(other.path(), "127.0.0.1"));
  by_ca.trust.ca_file = other / "tls.crt";
  const auto refused = client::Client::connect(by_ca, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("is not trusted"));
  by_ca.trust.ca_file = folder_ / "nowhere.crt";
  EXPECT_EQ(client::Client::connect(by_ca, kPatience).error().code, ErrorCode::kNotFound);
}

TEST_F(TlsConnections, APlainClientIsToldWhatIsSpokenHere) {
  start(with_tls());
  client::Endpoint plain = endpoint();
  plain.trust = {};
  const auto refused = client::Client::connect(plain, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("speaks TLS only"));
  EXPECT_TRUE(client::Client::connect(endpoint(), kPatience));
}

TEST_F(TlsConnections, ATlsClientAtAPlainPortSaysSoAtOnce) {
  ServeOptions options = options_for(folder_);
  options.hello_ms = 600'000;
  options.frame_ms = 600'000;  // as the start of a frame its hello would be waited for
  start(options);
  client::Endpoint secure = endpoint();
  ASSERT_FALSE(secure.trust.is_set());
  secure.trust.fingerprint = std::string(64, 'a');
  const auto refused = client::Client::connect(secure, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(refused.error().message, HasSubstr("does not speak TLS 1.3"));
  EXPECT_THAT(refused.error().message, HasSubstr("--tls"));
}

TEST_F(TlsConnections, OlderVersionsAreRefused) {
  start(with_tls());
  auto context = tls::client_context({});
  ASSERT_TRUE(context);
  SSL_CTX_set_min_proto_version(context->get(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(context->get(), TLS1_2_VERSION);
  const RawPeer peer(endpoint());
  const tls::Owned<SSL> ssl(SSL_new(context->get()));
  SSL_set_fd(ssl.get(), peer.socket());
  EXPECT_NE(SSL_connect(ssl.get()), 1);
  EXPECT_THAT(tls::last_words(), HasSubstr("protocol version"));
}

TEST_F(TlsConnections, SilenceAndGarbageEndOnlyTheirOwnConnection) {
  ServeOptions options = with_tls();
  options.hello_ms = 50;
  start(options);
  RawPeer silent(endpoint());
  EXPECT_EQ(silent.read_to_end(), "");
  RawPeer garbage(endpoint());
  garbage.say(std::string("\x16\x03\x01\x00\x05hello", 10));
  garbage.read_to_end();
  crash();
  start(with_tls());
  EXPECT_TRUE(client::Client::connect(endpoint(), kPatience));
}

TEST_F(TlsConnections, AKeyOthersMayReadIsRefused) {
  ASSERT_TRUE(tls::own_identity(folder_.path(), "127.0.0.1"));
  ASSERT_EQ(::chmod((folder_ / "tls.key").c_str(), 0640), 0);
  const auto refused = Server::open(with_tls());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRefused);
  EXPECT_THAT(refused.error().message, HasSubstr("chmod 600"));
}

TEST_F(TlsConnections, AKeyOfAnotherCertificateIsInvalid) {
  const testing_support::TempFolder other;
  ASSERT_TRUE(tls::own_identity(folder_.path(), "127.0.0.1"));
  ASSERT_TRUE(tls::own_identity(other.path(), "127.0.0.1"));
  ServeOptions options = with_tls();
  options.tls_certificate = folder_ / "tls.crt";
  options.tls_key = other / "tls.key";
  const auto refused = Server::open(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("is not the key of"));
  options.tls_certificate = folder_.write("empty.crt", "nothing");
  EXPECT_EQ(Server::open(options).error().code, ErrorCode::kCorrupt);
}

TEST(Fingerprint, IsReadAsPeopleWriteIt) {
  const std::string hex = std::string(62, '0') + "aF";
  EXPECT_EQ(*tls::parse_fingerprint(hex), std::string(62, '0') + "af");
  std::string colons = "AB";
  for (int byte = 1; byte < 32; ++byte) colons += ":CD";
  EXPECT_EQ(tls::parse_fingerprint(colons)->substr(0, 6), "abcdcd");
  for (const char* text : {"", "abc", "zz"}) {
    EXPECT_THAT(tls::parse_fingerprint(text).error().message, HasSubstr("64 hexadecimal digits")) << text;
  }
}

/// One serial number in some 250 begins with a zero byte, which DER does not allow.
TEST(TlsIdentity, EveryOneThatIsMadeCanBeRead) {
  const testing_support::TempFolder folder;
  for (int made = 0; made < 1000; ++made) {
    std::filesystem::remove(folder.path() / "tls.crt");
    std::filesystem::remove(folder.path() / "tls.key");
    const auto identity = tls::own_identity(folder.path(), "node1");
    ASSERT_TRUE(identity) << identity.error().message;
  }
}

}  // namespace
}  // namespace gauntlet::coordinator
