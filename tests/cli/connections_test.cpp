// Coordinator, worker and clients as processes: TLS, tokens, labels, and the exit codes of those who are
// refused.
#include <sys/stat.h>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

constexpr int kRefused = 6;
constexpr int kUnreachable = 5;

class Connections : public CliTest {
 protected:
  /// Waits until it listens.
  std::unique_ptr<Process> start_coordinator(const std::vector<std::string>& options) const {
    auto process = start("coordinator", options);
    EXPECT_TRUE(wait_until([&] { return std::filesystem::exists(workdir() / "coordinator.json"); }))
        << process->err();
    return process;
  }
  std::unique_ptr<Process> start(const std::string& verb, const std::vector<std::string>& options) const {
    std::vector<std::string> command = {GAUNTLET_BINARY_DIR "/bin/gauntlet", verb, "--workdir",
                                        workdir().string()};
    command.insert(command.end(), options.begin(), options.end());
    return std::make_unique<Process>(command, folder());
  }
  Finished status(std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"status", "--workdir", workdir().string(), "--json"});
    return gauntlet(options);
  }
  Json address() const { return Json::parse(read(workdir() / "coordinator.json")); }
};

TEST_F(Connections, WorkGoesThroughTls) {
  const auto coordinator = start_coordinator({"--tls"});
  const std::string fingerprint = address().at("tls_fingerprint");
  EXPECT_THAT(coordinator->err(), HasSubstr("fingerprint " + fingerprint));
  const auto worker = start("worker", {"--exit-without-coordinator", "60"});
  write("noops.yaml", "gauntlet: 1\nname: noops\nnoop: {jobs: 200, ms: 0}\n");
  const Finished submitted = gauntlet({"submit", "noops.yaml", "--workdir", workdir().string()});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  const Finished waited = gauntlet({"wait", "noops", "--workdir", workdir().string()});
  EXPECT_EQ(waited.exit_code, 0) << waited.err << worker->err();
  const Finished events = gauntlet({"query", "SELECT detail FROM events WHERE kind = 'submitted'",
                                    "--workdir", workdir().string(), "--format", "json"});
  EXPECT_THAT(events.out, HasSubstr(", by "));
}

TEST_F(Connections, OtherCertificatesAndPlainPeersAreRefusedInOneSentence) {
  const auto coordinator = start_coordinator({"--tls"});
  const std::string where = "127.0.0.1:" + address().at("port").dump();
  const Finished pinned = status({"--tls-fingerprint", std::string(64, 'a')});
  EXPECT_EQ(pinned.exit_code, kRefused);
  EXPECT_THAT(pinned.err, HasSubstr("nothing was said to it"));
  const Finished plain = status({"--coordinator", where});
  EXPECT_EQ(plain.exit_code, kRefused);
  EXPECT_THAT(plain.err, HasSubstr("speaks TLS only"));
  const Finished right =
      status({"--coordinator", where, "--tls-fingerprint", address().at("tls_fingerprint")});
  EXPECT_EQ(right.exit_code, 0) << right.err;
  const Finished malformed = status({"--tls-fingerprint", "abc"});
  EXPECT_EQ(malformed.exit_code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("'abc' is not a fingerprint"));
  auto worker = start("worker", {"--tls-fingerprint", std::string(64, 'b')});
  const Finished refused = worker->wait();
  EXPECT_EQ(refused.exit_code, kRefused);
  EXPECT_THAT(refused.err, HasSubstr("nothing was said to it"));
}

TEST_F(Connections, TlsAtAPlainPortIsUnreachable) {
  const auto coordinator = start_coordinator({});
  const Finished secure = status({"--tls-fingerprint", std::string(64, 'a')});
  EXPECT_EQ(secure.exit_code, kUnreachable);
  EXPECT_THAT(secure.err, HasSubstr("does not speak TLS 1.3"));
}

TEST_F(Connections, AnOpenAddressWithoutTlsWarns) {
  const auto coordinator = start_coordinator({"--bind", "0.0.0.0"});
  EXPECT_THAT(coordinator->err(), HasSubstr("warning: 0.0.0.0 can be reached from other machines"));
}

TEST_F(Connections, AWrongTokenIsRefused) {
  const auto coordinator = start_coordinator({});
  const std::string where = "127.0.0.1:" + address().at("port").dump();
  std::filesystem::create_directories(folder() / "other");
  const auto token = write("other/token", "guess\n");
  ASSERT_EQ(::chmod(token.c_str(), 0600), 0);
  const Finished guessed =
      gauntlet({"status", "--workdir", (folder() / "other").string(), "--coordinator", where});
  EXPECT_EQ(guessed.exit_code, kRefused);
  EXPECT_THAT(guessed.err, HasSubstr("wrong token; use the one in the coordinator's work folder"));
  ASSERT_EQ(::chmod(token.c_str(), 0644), 0);
  const Finished open =
      gauntlet({"status", "--workdir", (folder() / "other").string(), "--coordinator", where});
  EXPECT_EQ(open.exit_code, kRefused);
  EXPECT_THAT(open.err, HasSubstr("chmod 600"));
}

TEST_F(Connections, AWorkerSaysItsLabelsAndLeavesWhenItsTimeIsOver) {
  const auto coordinator = start_coordinator({});
  auto lasting = start("worker", {"--label", "disk=ssd", "--lifetime", "1h", "--no-gpus"});
  Json workers;
  EXPECT_TRUE(wait_until([&] {
    workers = Json::parse(status().out).at("workers");
    return !workers.empty();
  }));
  EXPECT_EQ(workers[0].at("labels"), (Json{{"disk", "ssd"}}));
  EXPECT_GT(workers[0].at("remaining_s"), 1800);
  auto brief = start("worker", {"--lifetime", "1s"});
  EXPECT_EQ(brief->wait().exit_code, 0) << brief->err();
  const Finished malformed = start("worker", {"--label", "disk"})->wait();
  EXPECT_EQ(malformed.exit_code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("--label: 'disk' is no label; write name=value"));
}

}  // namespace
}  // namespace gauntlet::cli
