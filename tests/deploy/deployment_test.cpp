// Every deployment is played without its engine: the command lines of its files are run as they are written,
// but for addresses and folders, by the real programs.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/json.hpp"
#include "tests/deploy/deployment.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::deploy {
namespace {

namespace fs = std::filesystem;
using testing::Ge;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::Finished;
using testing_support::Process;
using testing_support::TempFolder;
using testing_support::wait_until;

const std::string kPrograms = GAUNTLET_BINARY_DIR "/bin";

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

/// A deployment in a folder of its own, with this machine's ports.
class Stage {
 public:
  explicit Stage(bool in_container) : in_container_(in_container) {
    fs::create_directories(folder_ / "runs");
    fs::create_directories(folder_ / "database");
    std::ofstream(folder_ / "secret") << std::string(64, 'a');
  }

  [[nodiscard]] std::string here(std::string text) const {
    replace_all(text, "/var/lib/gauntlet-database", (folder_ / "database").string());
    replace_all(text, "/var/lib/gauntlet", (folder_ / "runs").string());
    replace_all(text, "coordinator:7000", "localhost:" + std::to_string(port_));
    replace_all(text, "0.0.0.0", "127.0.0.1");
    replace_all(text, "7000", std::to_string(port_));
    replace_all(text, "9100", std::to_string(http_port_));
    return text;
  }
  [[nodiscard]] std::vector<std::string> command(const Member& member) const {
    std::vector<std::string> words = {"/bin/sh", GAUNTLET_SOURCE_DIR "/deploy/container/entrypoint.sh"};
    if (!in_container_) words = {kPrograms + "/gauntlet"};
    for (const std::string& word : member.arguments) words.push_back(here(word));
    return words;
  }
  [[nodiscard]] std::map<std::string, std::string> environment(const Member& member) const {
    std::map<std::string, std::string> all;
    for (const auto& [name, value] : member.environment) all[name] = here(value);
    all["PATH"] = kPrograms + ":/usr/bin:/bin";
    all["GAUNTLET_WORKDIR"] = (folder_ / "runs").string();
    if (in_container_) all["GAUNTLET_TOKEN_FILE"] = (folder_ / "secret").string();
    return all;
  }
  [[nodiscard]] Finished run(std::vector<std::string> words, const Member& as) const {
    for (std::string& word : words) word = here(word);
    words.insert(words.begin(), "/usr/bin/env");
    return testing_support::run(words, folder_.path(), environment(as));
  }
  [[nodiscard]] Finished get(const std::string& path) const {
    const std::string port = std::to_string(http_port_);
    return testing_support::run({"/bin/bash", "-c",
                                 "exec 3<>/dev/tcp/127.0.0.1/" + port + "; printf 'GET " + path +
                                     " HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"},
                                folder_.path());
  }
  [[nodiscard]] const TempFolder& folder() const { return folder_; }

 private:
  bool in_container_;
  TempFolder folder_;
  int port_ = free_port();
  int http_port_ = free_port();
};

class DeploymentTest : public testing::TestWithParam<Deployment> {};

TEST_P(DeploymentTest, CarriesOutASweep) {
  const Deployment& files = GetParam();
  const Stage stage(files.in_container);
  std::ofstream(stage.folder() / "s.yaml") << "gauntlet: 1\nname: s\nnoop: {jobs: 20, ms: 0}\n";

  Process coordinator(stage.command(files.coordinator), stage.folder().path(),
                      stage.environment(files.coordinator));
  const fs::path address = stage.folder() / "runs/coordinator.json";
  ASSERT_TRUE(wait_until([&] { return fs::exists(address) || !coordinator.is_running(); }));
  ASSERT_TRUE(coordinator.is_running()) << coordinator.err();
  if (!files.coordinator.health_path.empty()) {
    EXPECT_THAT(stage.get(files.coordinator.health_path).out, HasSubstr("200 OK"));
  }
  if (files.in_container) {
    EXPECT_EQ(fs::status(stage.folder() / "runs/token").permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
  }

  std::vector<std::unique_ptr<Process>> workers;
  for (const Member& worker : files.workers) {
    workers.push_back(
        std::make_unique<Process>(stage.command(worker), stage.folder().path(), stage.environment(worker)));
  }
  const Member& worker = files.workers.front();
  ASSERT_TRUE(wait_until([&] {
    if (!workers.front()->is_running()) return true;
    const Finished status = stage.run({"gauntlet", "status", "--json"}, files.coordinator);
    return status.exit_code == 0 && Json::parse(status.out).at("workers").size() == files.workers.size();
  })) << workers.front()->err();
  ASSERT_TRUE(workers.front()->is_running()) << workers.front()->err();
  if (!worker.health.empty()) {
    EXPECT_EQ(stage.run(worker.health, worker).exit_code, 0);
  }

  ASSERT_EQ(stage.run({"gauntlet", "submit", "s.yaml"}, files.coordinator).exit_code, 0);
  const Finished done = stage.run({"gauntlet", "wait", "s"}, files.coordinator);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  for (const auto& process : workers) {
    process->send(SIGTERM);
    EXPECT_EQ(process->wait().exit_code, 0) << process->err();
  }
  coordinator.send(SIGTERM);
  EXPECT_EQ(coordinator.wait().exit_code, 0) << coordinator.err();
}

TEST_P(DeploymentTest, LeavesWorkersMoreTimeThanTheirAttemptsGet) {
  for (const Member& worker : GetParam().workers) {
    double grace = 0;
    for (std::size_t at = 0; at < worker.arguments.size(); ++at) {
      const std::string& word = worker.arguments[at];
      if (word == "--drain-grace") grace = std::stod(worker.arguments.at(at + 1));
      if (word.starts_with("--drain-grace=")) grace = std::stod(word.substr(word.find('=') + 1));
    }
    ASSERT_GT(grace, 0);
    EXPECT_GE(worker.stop_seconds, grace + 10);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeploymentTest,
                         testing::Values(read_compose(), read_kubernetes(), read_systemd()),
                         [](const auto& one) { return one.param.name; });

TEST(Compose, HasTwoWorkers) { EXPECT_THAT(read_compose().workers, SizeIs(2)); }
TEST(Kubernetes, HasTwoWorkers) { EXPECT_THAT(read_kubernetes().workers, SizeIs(2)); }

}  // namespace
}  // namespace gauntlet::deploy
