// What cannot be done is one sentence and the right exit code, through the real programs.
#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class Refusals : public CliTest {
 protected:
  void serve(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir",
                                      workdir().string()};
    words.insert(words.end(), more.begin(), more.end());
    coordinator_ = std::make_unique<Process>(words, folder());
    ASSERT_TRUE(wait_until([&] { return fs::exists(workdir() / "coordinator.json"); }))
        << coordinator_->err();
  }
  [[nodiscard]] Finished ask(std::vector<std::string> words, const std::string& where = "") const {
    words.insert(words.end(), {"--workdir", where.empty() ? workdir().string() : where});
    return gauntlet(words);
  }
  void expect_sentence(const Finished& finished, int exit_code, const std::string& sentence) const {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, AllOf(testing::StartsWith("gauntlet: "), HasSubstr(sentence)));
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
  }

  std::unique_ptr<Process> coordinator_;
};

TEST_F(Refusals, AnUnknownSweepIsNotFoundByEveryVerb) {
  serve();
  for (const char* verb : {"status", "watch", "wait", "pause", "resume", "cancel", "retry"})
    expect_sentence(ask({verb, "nobody"}), 4, "unknown sweep 'nobody'");
}

TEST_F(Refusals, AKeyThatNamesSeveralJobsNamesThem) {
  std::string shared;
  {
    MadeFolder made(workdir());
    std::map<std::string, int> heads;
    for (int n = 0; shared.empty(); ++n) {  // until two keys start alike
      made.add(fmt::format("job{}", n), spec::JobKind::kEncode, {});
      const std::string head = made.key(fmt::format("job{}", n)).hex().substr(0, 4);
      if (++heads[head] == 2) shared = head;
    }
    made.submit("many", {});
  }
  serve();
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"explain", shared}, {"retry", "--key", shared}, {"cancel", "--key", shared}, {"logs", shared}}) {
    const Finished finished = ask(words);
    expect_sentence(finished, 2, "2 jobs have a key that starts with " + shared + ", among them job");
  }
  expect_sentence(ask({"explain", "0123456789abcdef"}), 4,
                  "no job has a key that starts with 0123456789abcdef");
  expect_sentence(ask({"cancel", "--key", "0123456789abcdef"}), 4, "no job has a key that starts with");
  expect_sentence(ask({"explain", "xyzw"}), 2, "'xyzw' is not the start of a job key");
}

TEST_F(Refusals, AWrongTokenIsRefused) {
  serve();
  const fs::path other = folder() / "other";
  fs::create_directories(other);
  fs::copy(workdir() / "coordinator.json", other / "coordinator.json");
  std::ofstream(other / "token") << "guess\n";
  fs::permissions(other / "token", fs::perms::owner_read | fs::perms::owner_write);
  expect_sentence(ask({"status"}, other.string()), 6, "wrong token");
  fs::permissions(other / "token", fs::perms::others_read, fs::perm_options::add);
  expect_sentence(ask({"status"}, other.string()), 6, "can be read by others");
}

TEST_F(Refusals, APortInUseIsNamed) {
  serve();
  const Json address = Json::parse(read(workdir() / "coordinator.json"));
  const std::string port = std::to_string(address["port"].get<int>());
  expect_sentence(gauntlet({"coordinator", "--workdir", (folder() / "second").string(), "--port", port}), 6,
                  "port " + port + " of 127.0.0.1 is in use");
}

TEST_F(Refusals, APortThatIsNoneIsSaid) {
  expect_sentence(ask({"coordinator", "--port", "70000"}), 2, "65535");
}

TEST_F(Refusals, ASecondCoordinatorNamesTheFirst) {
  serve();
  expect_sentence(ask({"coordinator"}), 6,
                  fmt::format("is in use already (process {}, a coordinator)", coordinator_->pid()));
}

TEST_F(Refusals, ADatabaseIsServedOnceByWhateverPath) {
  serve();
  const fs::path database = workdir() / "gauntlet.db", link = folder() / "link.db";
  fs::create_symlink(database, link);
  const std::string second = (folder() / "second").string(), pid = std::to_string(coordinator_->pid());
  for (const fs::path& path : {database, link}) {
    expect_sentence(gauntlet({"coordinator", "--workdir", second, "--database", path.string()}), 6,
                    path.string() + " is in use already (process " + pid + ", a coordinator)");
    expect_sentence(gauntlet({"gc", "--yes", "--workdir", second, "--database", path.string()}), 6,
                    path.string() + " is in use already (process " + pid + ", a coordinator)");
  }
}

TEST_F(Refusals, ADatabaseOfANewerReleaseIsLeftAlone) {
  {
    MadeFolder made(workdir());
    ASSERT_TRUE(made.connection().execute("PRAGMA user_version = 999"));
  }
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"coordinator"}, {"verify"}, {"gc"}, {"export", "--db", "copy.db"}}) {
    const Finished finished = ask(words);
    EXPECT_EQ(finished.exit_code, 6) << words[0] << finished.err;
    EXPECT_THAT(finished.err, AllOf(HasSubstr("has version 999"), HasSubstr("use a newer gauntlet")))
        << words[0];
  }
}

TEST_F(Refusals, NothingToRetryOrCancelIsSaid) {
  serve();
  ASSERT_EQ(ask({"submit", write("n.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 2}\n").string()}).exit_code,
            0);
  const Finished retried = ask({"retry", "n", "--lost"});
  EXPECT_EQ(retried.exit_code, 0) << retried.err;
  EXPECT_EQ(retried.out, "0 jobs to run again\n");
  EXPECT_THAT(retried.err, HasSubstr("nothing has failed or was cancelled"));
  EXPECT_EQ(ask({"cancel", "n", "--reason", "no need"}).out, "cancelled 2 jobs\n");
  EXPECT_THAT(ask({"status"}).out, HasSubstr("\ncancelled\n  2 jobs: cancelled: no need\n"));
  EXPECT_EQ(Json::parse(ask({"status", "--json"}).out)["cancelled"],
            Json::parse(R"([{"message": "cancelled: no need", "jobs": 2}])"));
  EXPECT_EQ(ask({"retry", "n", "--lost"}).out, "0 jobs to run again\n") << "cancelled is not lost";
  EXPECT_EQ(ask({"retry", "n"}).out, "2 jobs to run again\n");
  EXPECT_EQ(ask({"retry", "--lost", "--cancelled"}).exit_code, 2);
  expect_sentence(ask({"retry", "--where", "cause=luck"}), 2, "unknown cause 'luck'");
}

}  // namespace
}  // namespace gauntlet::cli
