// The coordinator's page in a real browser: what it shows of finished sweeps, and of a name that is markup.
// Screenshots stay in <build>/Testing/page/.

#include <gmock/gmock.h>

#include <fstream>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing_support::Finished;
using testing_support::Process;

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";
const std::string kMarkup = "<script>document.title='broken'</script>";
const std::string kMarkupSweep = "<script>alert(1)</script>";
const fs::path kBrowser = "/usr/bin/chromium";
const fs::path kPictures = fs::path(GAUNTLET_BINARY_DIR) / "Testing" / "page";

class PageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kBrowser)) GTEST_SKIP() << kBrowser << " is not installed";
    const Finished ran =
        testing_support::run(with_folder({"run", "tests/e2e/smoke.yaml"}), GAUNTLET_SOURCE_DIR);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    add_markup_sweep();
    std::ofstream(folder_ / "many.yaml") << "gauntlet: 1\nname: many\nnoop: {jobs: 250, ms: 0}\n";
    coordinator_.emplace(with_folder({"coordinator", "--http", "0"}), folder_.path());
    ASSERT_TRUE(testing_support::wait_until([&] { return gauntlet({"page"}).exit_code == 0; }));
    address_ = gauntlet({"page"}).out;
    address_.pop_back();
    worker_.emplace(with_folder({"worker", "--name", kMarkup}), folder_.path());
    const Finished submitted = gauntlet({"submit", (folder_ / "many.yaml").string()});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
    const Finished done = gauntlet({"wait", "many"});
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }

  /// Sweep files may not name a sweep so; databases of others may.
  void add_markup_sweep() {
    std::ofstream(folder_ / "markup.yaml") << "gauntlet: 1\nname: markup\nnoop: {jobs: 1, ms: 0}\n";
    const Finished ran = gauntlet({"run", (folder_ / "markup.yaml").string()});
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const Finished renamed = testing_support::run(
        {"/usr/bin/python3", "-c",
         "import sqlite3, sys\n"
         "with sqlite3.connect(sys.argv[1]) as database:\n"
         "    database.execute('UPDATE sweeps SET name = ? WHERE sweep_id = 2', [sys.argv[2]])",
         (folder_ / "w" / "gauntlet.db").string(), kMarkupSweep},
        folder_.path());
    ASSERT_EQ(renamed.exit_code, 0) << renamed.err;
  }
  [[nodiscard]] std::vector<std::string> with_folder(std::vector<std::string> words) const {
    words.insert(words.begin(), kGauntlet);
    words.insert(words.end(), {"--workdir", (folder_ / "w").string()});
    return words;
  }
  [[nodiscard]] Finished gauntlet(const std::vector<std::string>& words) const {
    return testing_support::run(with_folder(words), folder_.path());
  }
  [[nodiscard]] Finished browse(const std::string& route, const std::vector<std::string>& more) const {
    std::vector<std::string> command = {kBrowser.string(),
                                        "--headless=new",
                                        "--no-sandbox",
                                        "--disable-gpu",
                                        "--user-data-dir=" + (folder_ / "browser").string(),
                                        "--virtual-time-budget=6000",
                                        "--timeout=20000"};
    command.insert(command.end(), more.begin(), more.end());
    command.push_back(address_ + route);
    return testing_support::run(command, folder_.path());
  }
  /// The elements of a view, as markup, once it has fetched what it shows.
  [[nodiscard]] std::string view(const std::string& route) const { return browse(route, {"--dump-dom"}).out; }
  void take_picture(const std::string& route, const std::string& name, const std::string& size) const {
    fs::create_directories(kPictures);
    const fs::path file = kPictures / (name + ".png");
    fs::remove(file);
    const Finished taken =
        browse(route, {"--hide-scrollbars", "--window-size=" + size, "--screenshot=" + file.string()});
    EXPECT_TRUE(fs::exists(file)) << taken.err;
  }

  testing_support::TempFolder folder_;
  std::optional<Process> coordinator_;
  std::optional<Process> worker_;
  std::string address_;
};

TEST_F(PageTest, ShowsSweepsTablesAndJobsAndRunsNoForeignCode) {
  const std::string sweeps = view("#/");
  EXPECT_THAT(sweeps, HasSubstr("<title>Gauntlet</title>"));
  EXPECT_THAT(sweeps, HasSubstr("250 of 250"));
  EXPECT_THAT(sweeps, HasSubstr(">smoke<"));

  const std::string sweep = view("#/sweep/1");
  EXPECT_THAT(sweep, HasSubstr("<title>smoke – Gauntlet</title>"));
  EXPECT_THAT(sweep, HasSubstr("<table class=\"results\">"));
  EXPECT_THAT(sweep, HasSubstr("<polyline"));
  EXPECT_THAT(sweep, HasSubstr("100"));

  EXPECT_THAT(sweep, HasSubstr("jobs per minute"));

  const std::string jobs = view("#/jobs?sweep=3&state=done");
  EXPECT_THAT(jobs, HasSubstr("noop 0"));
  EXPECT_THAT(jobs, Not(HasSubstr("noop 200"))) << "a hundred at a time";

  const Finished found =
      gauntlet({"query", "--format", "csv", "SELECT key FROM v_jobs WHERE kind = 'train_model'"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  const std::string key = found.out.substr(found.out.find('\n') + 1, 64);
  const std::string job = view("#/job/" + key);
  EXPECT_THAT(job, HasSubstr("train_model"));
  EXPECT_THAT(job, HasSubstr("attempt 1"));
  EXPECT_THAT(job, HasSubstr("<figcaption>"));
  const std::string workers = view("#/workers");
  EXPECT_THAT(workers, HasSubstr("&lt;script&gt;document.title='broken'&lt;/script&gt;"));
  EXPECT_THAT(workers, HasSubstr("<title>Gauntlet</title>"));

  const std::string markup = view("#/sweep/2");
  EXPECT_THAT(markup, HasSubstr("<h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>"));
  EXPECT_THAT(sweeps, HasSubstr(">&lt;script&gt;alert(1)&lt;/script&gt;</a>"));
  for (const std::string& shown : {sweeps, markup, jobs}) EXPECT_THAT(shown, Not(HasSubstr("<script>alert")));

  take_picture("#/sweep/1", "sweep", "1180,1000");
  take_picture("#/sweep/1", "sweep-phone", "390,1000");
  take_picture("#/", "sweeps-phone", "390,700");
  take_picture("#/job/" + key, "job", "1180,1200");
  take_picture("#/jobs?sweep=1", "jobs", "1180,800");
}

/// tests/e2e/page_check.py says what is looked at.
TEST_F(PageTest, ServesKeyboardsPhonesAndTheNight) {
  std::ofstream(folder_ / "slow.yaml") << "gauntlet: 1\nname: slow\nnoop: {jobs: 4000, ms: 200}\n";
  const Finished submitted = gauntlet({"submit", (folder_ / "slow.yaml").string()});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  fs::create_directories(kPictures);
  const Finished checked =
      testing_support::run({"/usr/bin/python3", GAUNTLET_SOURCE_DIR "/tests/e2e/page_check.py",
                            kBrowser.string(), address_, kPictures.string()},
                           folder_.path());
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
}

TEST_F(PageTest, WithoutTheTokenNothingIsSeen) {
  address_ = address_.substr(0, address_.find('?'));
  const std::string seen = view("#/");
  EXPECT_THAT(seen, HasSubstr("gauntlet page"));
  EXPECT_THAT(seen, Not(HasSubstr("smoke")));
}

}  // namespace
}  // namespace gauntlet
