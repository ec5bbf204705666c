// Verdicts of robustness checks, handed to a coordinator.
#include "core/db/connection.hpp"
#include "results/store/check_rows.hpp"
#include "tests/coordinator/fixture.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;

class Checks : public CoordinatorTest {
 protected:
  void SetUp() override {
    start(options_for(folder_));
    client_.emplace(connect());
    ASSERT_TRUE(submit(*client_, "noops", noops(1)));
  }
  static proto::CheckRow row(const std::string& check, const std::string& verdict = "pass") {
    proto::CheckRow row;
    row.set_dataset("d");
    row.set_model("m");
    row.set_bits(16);
    row.set_defense("drfgd");
    row.set_direction("i2t");
    row.set_seed(1);
    row.set_check(check);
    row.set_verdict(verdict);
    row.set_delta(0.25);
    row.set_n(60);
    row.set_sentence("It is so.");
    return row;
  }
  Status store(const std::string& sweep, const std::vector<proto::CheckRow>& rows, bool more = false) {
    proto::Frame frame;
    frame.mutable_store_checks()->set_sweep(sweep);
    frame.mutable_store_checks()->set_more(more);
    for (const proto::CheckRow& one : rows) *frame.mutable_store_checks()->add_rows() = one;
    GAUNTLET_TRY(const proto::Frame answer, client_->request(frame, kPatience));
    EXPECT_TRUE(answer.has_accepted());
    return {};
  }
  std::vector<results::CheckRow> stored() {
    auto connection = db::Connection::open_read_only(folder_.path() / "gauntlet.db");
    return *results::read_checks(*connection);
  }

  std::optional<client::Client> client_;
};

TEST_F(Checks, ReplaceEachOtherWhenTheirLastPartHasCome) {
  ASSERT_TRUE(store("noops", {row("R01"), row("R02", "fail")}));
  const std::vector<results::CheckRow> first = stored();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[1].verdict, "fail");
  EXPECT_EQ(first[1].delta, 0.25);
  EXPECT_FALSE(first[1].ci_low);
  EXPECT_EQ(first[1].subject.defense, "drfgd");
  EXPECT_EQ(first[1].sentence, "It is so.");
  ASSERT_TRUE(store("noops", {row("R03")}, true));
  EXPECT_EQ(stored(), first);
  ASSERT_TRUE(store("noops", {row("R04"), row("R05")}));
  const std::vector<results::CheckRow> second = stored();
  ASSERT_EQ(second.size(), 3U);
  EXPECT_EQ(second[0].check, "R03");
}

TEST_F(Checks, ImproperOnesAreRefusedAndLeaveWhatWasThere) {
  ASSERT_TRUE(store("noops", {row("R01")}));
  const Status unknown = store("other", {row("R01")});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, HasSubstr("no sweep 'other'"));
  const Status verdict = store("noops", {row("R02", "maybe")});
  ASSERT_FALSE(verdict);
  EXPECT_THAT(verdict.error().message, HasSubstr("verdict 'maybe' is unknown; allowed are pass"));
  const Status twice = store("noops", {row("R02"), row("R02")});
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("R02 is given twice"));
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_TRUE(store("noops", {row("R07")}));  // the coordinator goes on
  EXPECT_EQ(stored().front().check, "R07");
}

}  // namespace
}  // namespace gauntlet::coordinator
