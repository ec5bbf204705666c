// gauntlet logs through the real programs: while an attempt runs, afterwards, from another machine's folder,
// and without a coordinator.
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class LogsVerb : public CliTest {
 protected:
  void serve(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir",
                                      workdir().string()};
    words.insert(words.end(), more.begin(), more.end());
    coordinator_ = std::make_unique<Process>(words, folder());
    ASSERT_TRUE(wait_until([&] { return fs::exists(workdir() / "coordinator.json"); }))
        << coordinator_->err();
  }
  void work(const fs::path& where, std::vector<std::string> more = {}) {
    std::vector<std::string> words = {
        GAUNTLET_BINARY_DIR "/bin/gauntlet", "worker", "--workdir", where.string(), "--name", "hand"};
    words.insert(words.end(), more.begin(), more.end());
    worker_ = std::make_unique<Process>(words, folder());
  }
  /// One job that takes so long; its key.
  std::string submit(int ms) {
    const fs::path sweep =
        write("n.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 1, ms: " + std::to_string(ms) + "}\n");
    EXPECT_EQ(ask({"submit", sweep.string()}).exit_code, 0);
    const Finished query = ask({"query", "SELECT key FROM v_jobs", "--json"});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return Json::parse(query.out)["rows"][0][0].get<std::string>();
  }
  [[nodiscard]] Finished ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--workdir", workdir().string()});
    return gauntlet(words);
  }
  [[nodiscard]] bool reaches(const std::string& state) const {
    return wait_until([&] {
      const Finished query = ask({"query", "SELECT state FROM v_jobs", "--json"});
      return query.exit_code == 0 && Json::parse(query.out)["rows"][0][0] == state;
    });
  }

  std::unique_ptr<Process> coordinator_;
  std::unique_ptr<Process> worker_;
};

TEST_F(LogsVerb, FollowsFromTheFirstWaitToTheEndOfTheAttempt) {
  serve();
  const std::string key = submit(500);
  Process follower(
      {GAUNTLET_BINARY_DIR "/bin/gauntlet", "logs", key.substr(0, 8), "-f", "--workdir", workdir().string()},
      folder());
  ASSERT_TRUE(wait_until([&] { return follower.err().find("is waited for") != std::string::npos; }))
      << follower.err();
  work(workdir());
  const Finished finished = follower.wait();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.out, AllOf(HasSubstr("key " + key), HasSubstr("done after")));
  EXPECT_THAT(finished.err, HasSubstr("attempt 1 ended: done"));
}

TEST_F(LogsVerb, ComesFromAMachineThatSharesNoFolder) {
  serve();
  const fs::path far = folder() / "far";
  fs::create_directories(far);
  fs::copy(workdir() / "token", far / "token");
  fs::permissions(far / "token", fs::perms::owner_read | fs::perms::owner_write);
  const Json address = Json::parse(read(workdir() / "coordinator.json"));
  const std::string key = submit(1);
  work(far, {"--coordinator", "127.0.0.1:" + std::to_string(address["port"].get<int>())});
  ASSERT_TRUE(reaches("done")) << worker_->err();
  ASSERT_FALSE(fs::exists(workdir() / "logs" / key));
  const Finished log = ask({"logs", key});
  EXPECT_EQ(log.exit_code, 0) << log.err;
  EXPECT_THAT(log.out, AllOf(HasSubstr("key " + key), HasSubstr("done after")));
  const Finished events = ask({"logs", key, "--events"});
  EXPECT_THAT(events.out, AllOf(HasSubstr("\"event\":\"start\""), HasSubstr("\"event\":\"end\"")));
}

TEST_F(LogsVerb, ProcessesLogInJsonWhenAsked) {
  const std::vector<std::string> json = {"--log-format", "json"};
  serve(json);
  work(workdir(), json);
  submit(1);
  ASSERT_TRUE(reaches("done")) << worker_->err();
  worker_->send(SIGTERM);
  EXPECT_EQ(worker_->wait().exit_code, 0);
  EXPECT_EQ(ask({"coordinator", "--stop"}).exit_code, 0);
  coordinator_->wait();
  std::map<std::string, std::string> told;  // by program
  std::istringstream lines(worker_->err() + read(workdir() / "logs" / "coordinator.log"));
  for (std::string line; std::getline(lines, line);) {
    const Json object = Json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object()) << line;
    told[object["program"]] += object["message"].get<std::string>() + "\n";
  }
  EXPECT_THAT(told["worker"], HasSubstr("joined as worker 1"));
  EXPECT_THAT(told["coordinator"], HasSubstr("listening on 127.0.0.1"));
}

TEST_F(LogsVerb, ListsAttemptsWithAndWithoutACoordinator) {
  serve();
  const std::string key = submit(1);
  work(workdir());
  ASSERT_TRUE(reaches("done")) << worker_->err();
  const auto check = [&] {
    const Finished text = ask({"logs", key, "--list"});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_THAT(text.out, AllOf(HasSubstr("  1  done"), HasSubstr(" on hand\n")));
    const Json list = Json::parse(ask({"logs", key, "--list", "--json"}).out);
    EXPECT_EQ(list["format"], 1);
    EXPECT_EQ(list["key"], key);
    EXPECT_EQ(list["state"], "done");
    EXPECT_EQ(list["attempts"][0]["outcome"], "done");
    EXPECT_EQ(list["attempts"][0]["superseded"], false);
    EXPECT_EQ(ask({"logs", key, "--attempt", "4"}).exit_code, 4);
    EXPECT_THAT(ask({"logs", key}).out, HasSubstr("done after"));
    EXPECT_EQ(ask({"logs", key, "--json"}).exit_code, 2);
  };
  check();
  EXPECT_EQ(ask({"coordinator", "--stop"}).exit_code, 0);
  coordinator_->wait();
  check();
}

}  // namespace
}  // namespace gauntlet::cli
