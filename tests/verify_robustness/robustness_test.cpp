// gauntlet verify --robustness on a database that was made by code.
#include "coordinator/net/workdir.hpp"
#include "results/store/check_rows.hpp"
#include "tests/cli/cli_test_base.hpp"
#include "tests/results/attacked_database.hpp"

namespace gauntlet::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Finished;

class VerifyRobustness : public CliTest {
 protected:
  VerifyRobustness() {
    std::filesystem::create_directories(workdir());
    store::JobStore store = *store::JobStore::open(workdir() / "gauntlet.db");
    testing_support::fill_attacked(store, "study", testing_support::attacked_cells());
  }
  [[nodiscard]] Finished verify(std::vector<std::string> more) const {
    more.insert(more.begin(), {"verify", "--workdir", workdir().string(), "--robustness"});
    return gauntlet(more);
  }
  [[nodiscard]] std::vector<results::CheckRow> stored() const {
    auto connection = db::Connection::open_read_only(workdir() / "gauntlet.db");
    return *results::read_checks(*connection);
  }
  [[nodiscard]] std::size_t n_stored() const { return stored().size(); }
};

TEST_F(VerifyRobustness, AFailingCheckIsExitCodeThreeAndItsRowsStay) {
  const Finished text = verify({"study"});
  EXPECT_EQ(text.exit_code, 3) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("d m 16 bits, defense drfgd, i2t, seed 1, budget 0.0314 (8/255)"),
                              HasSubstr("R04  fail"), HasSubstr("One step of APGD hurts more than 100 steps"),
                              HasSubstr("R18  note")));
  EXPECT_THAT(text.err, HasSubstr("--run runs whatever is missing"));
  EXPECT_EQ(n_stored(), 42U);
  EXPECT_EQ(verify({"study"}).exit_code, 3);
  EXPECT_EQ(n_stored(), 42U);
}

TEST_F(VerifyRobustness, JsonNamesEveryFigure) {
  const Finished finished = verify({"study", "--json"});
  EXPECT_EQ(finished.exit_code, 3);
  const Json document = Json::parse(finished.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["ok"], false);
  EXPECT_EQ(document["counts"]["fail"], 1);
  ASSERT_EQ(document["subjects"].size(), 2U);
  const Json& subject = document["subjects"][0];
  EXPECT_EQ(subject["defense"], "drfgd");
  EXPECT_EQ(subject["unreliable"], true);
  ASSERT_EQ(subject["checks"].size(), 21U);
  const Json& one_step = subject["checks"][3];
  EXPECT_EQ(one_step["check"], "R04");
  EXPECT_EQ(one_step["verdict"], "fail");
  EXPECT_NEAR(one_step["delta"].get<double>(), 0.1, 1e-6);
  EXPECT_LE(one_step["ci_low"].get<double>(), one_step["delta"].get<double>());
  EXPECT_EQ(one_step["n"], 60);
  EXPECT_EQ(subject["checks"][8]["delta"], Json());  // R09 was not run
  EXPECT_EQ(document["subjects"][1]["unreliable"], false);
}

TEST_F(VerifyRobustness, ACoordinatorThatHoldsTheFolderStoresThem) {
  const auto serve = [this](const std::vector<std::string>& options) {
    std::vector<std::string> command = {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir",
                                        workdir().string()};
    command.insert(command.end(), options.begin(), options.end());
    auto coordinator = std::make_unique<testing_support::Process>(command, folder());
    EXPECT_TRUE(testing_support::wait_until([&] {
      return std::filesystem::exists(workdir() / "coordinator.json");
    })) << coordinator->err();
    return coordinator;
  };
  ASSERT_EQ(verify({"study"}).exit_code, 3);
  const std::vector<results::CheckRow> by_itself = stored();
  const auto coordinator = serve({"--tls"});
  for (int again = 0; again < 2; ++again) {
    const Finished text = verify({"study"});
    EXPECT_EQ(text.exit_code, 3);
    EXPECT_THAT(text.out, HasSubstr("R04  fail"));
    EXPECT_THAT(text.err, Not(HasSubstr("not stored")));
    EXPECT_EQ(n_stored(), 42U);
    EXPECT_EQ(stored(), by_itself) << "figures that are not there included";
  }
}

TEST_F(VerifyRobustness, BesideAProgramThatIsNoCoordinatorTheyArePrintedOnly) {
  const auto lock = coordinator::WorkdirLock::take(workdir(), "gauntlet gc");
  ASSERT_TRUE(lock);
  const Finished text = verify({"study"});
  EXPECT_EQ(text.exit_code, 3);
  EXPECT_THAT(text.out, HasSubstr("R04  fail"));
  EXPECT_THAT(text.err, HasSubstr("the verdicts were not stored"));
  EXPECT_THAT(text.err, HasSubstr("gauntlet gc"));
  EXPECT_THAT(text.err, HasSubstr("gauntlet verify --robustness study judges and stores them"));
  EXPECT_EQ(n_stored(), 0U);
}

TEST_F(VerifyRobustness, WhatIsNotThereIsNamed) {
  const Finished unknown = verify({"other"});
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_THAT(unknown.err, HasSubstr("no sweep 'other'"));
  const Finished file = verify({"missing.yaml"});
  EXPECT_EQ(file.exit_code, 4);
  EXPECT_THAT(file.err, HasSubstr("there is no sweep file missing.yaml"));
  EXPECT_EQ(gauntlet({"verify", "--run"}).exit_code, 2);
}

}  // namespace
}  // namespace gauntlet::cli
