// gauntlet eval on files: three queries worked out by hand, every form of codes and labels, every refusal.
#include "core/io/npy.hpp"
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing::HasSubstr;
using testing_support::Finished;

class Eval : public CliTest {
 protected:
  template <class T>
  void save(const std::string& name, std::vector<std::int64_t> shape, const std::vector<T>& values) const {
    ASSERT_TRUE(io::write_npy<T>(folder() / name, shape, std::span<const T>(values)));
  }
  /// q0 1011 {0}; q1 0010 {1,2}; q2 1100 {3} against eight items; targets {2}, {0}, {1}.
  void SetUp() override {
    save<float>("q.npy", {3, 4}, {1, -1, 1, 1, -1, -1, 1, -1, 1, 1, -1, -1});
    save<std::int8_t>("r.npy", {8, 4}, {1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0,
                                        1, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0});
    save<std::uint8_t>("ql.npy", {3, 4}, {1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1});
    save<double>("rl.npy", {8, 4}, {1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0,
                                    1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0});
    save<std::int64_t>("tl.npy", {3, 4}, {0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0});
  }
  [[nodiscard]] Finished eval(std::vector<std::string> more,
                              std::map<std::string, std::string> files = {}) const {
    std::vector<std::string> words = {"eval"};
    std::map<std::string, std::string> all = {{"--query-codes", "q.npy"},
                                              {"--retrieval-codes", "r.npy"},
                                              {"--query-labels", "ql.npy"},
                                              {"--retrieval-labels", "rl.npy"}};
    for (auto& [option, file] : files) all[option] = file;
    for (auto& [option, file] : all) words.insert(words.end(), {option, file});
    words.insert(words.end(), more.begin(), more.end());
    return gauntlet(words);
  }
  [[nodiscard]] Json document(std::vector<std::string> more) const {
    more.emplace_back("--json");
    const Finished finished = eval(std::move(more));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return Json::parse(finished.out);
  }
  [[nodiscard]] static double value(const Json& document, const std::string& metric) {
    return document["metrics"][metric]["value"].get<double>();
  }
};

TEST_F(Eval, TheWorkedExampleInExactFractions) {
  const Json all =
      document({"--target-labels", "tl.npy", "--metrics",
                "map,map@3:first_relevant,map@3:topk_hits,map@3:topk_ir,t_map,pr,precision@4,map/stable"});
  EXPECT_EQ(all["format"], 1);
  EXPECT_EQ(all["n_queries"], 3);
  EXPECT_EQ(all["n_retrieval"], 8);
  EXPECT_EQ(all["bits"], 4);
  EXPECT_EQ(all["n_without_relevant"], 1);
  EXPECT_NEAR(all["chance_map"].get<double>(), 11.0 / 24, 1e-12);
  EXPECT_NEAR(value(all, "map"), 56323.0 / 105840, 1e-12);
  EXPECT_NEAR(all["metrics"]["map"]["valid"].get<double>(), 56323.0 / 105840 * 1.5, 1e-12);
  EXPECT_NEAR(value(all, "map/stable"), 17449.0 / 35280, 1e-12);
  EXPECT_NEAR(value(all, "map@3:first_relevant"), (227.0 / 270 + 121.0 / 144) / 3, 1e-12);
  EXPECT_NEAR(value(all, "map@3:topk_hits"), (17.0 / 18 + 41.0 / 48) / 3, 1e-12);
  EXPECT_NEAR(value(all, "map@3:topk_ir"), (17.0 / 27 + 47.0 / 72) / 3, 1e-12);
  EXPECT_NEAR(value(all, "t_map"), 7117.0 / 10800, 1e-12);
  EXPECT_NEAR(value(all, "precision@4"), 11.0 / 24, 1e-12);
  const Json& pr = all["metrics"]["pr"];
  EXPECT_EQ(pr["kind"], "radius_micro");
  EXPECT_NEAR(pr["precision"][1].get<double>(), 3.0 / 5, 1e-6);
  EXPECT_NEAR(pr["recall"][1].get<double>(), 6.0 / 11, 1e-6);
  EXPECT_EQ(pr["precision"].size(), 5U);
}

TEST_F(Eval, TiesApplyToEveryMetricThatHasThem) {
  const Json stable = document({"--ties", "stable", "--metrics", "map,precision@2,pr,map/best"});
  EXPECT_NEAR(value(stable, "map/stable"), 17449.0 / 35280, 1e-12);
  EXPECT_NEAR(value(stable, "precision@2/stable"), 1.0 / 3, 1e-12);
  EXPECT_TRUE(stable["metrics"].contains("pr"));
  EXPECT_NEAR(value(stable, "map/best"), (7.0 / 8 + 5347.0 / 5880) / 3, 1e-12);
}

TEST_F(Eval, PackedCodesAndClassesGiveTheSameNumbers) {
  save<std::uint8_t>("qp.npy", {3, 1}, {0b1101, 0b0100, 0b0011});
  save<std::uint8_t>("rp.npy", {8, 1}, {0b1101, 0b1111, 0b1100, 0, 0b0101, 0b0110, 0b1001, 0b0010});
  const Finished packed =
      eval({"--packed-bits", "4", "--json"}, {{"--query-codes", "qp.npy"}, {"--retrieval-codes", "rp.npy"}});
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  EXPECT_EQ(Json::parse(packed.out)["metrics"], document({})["metrics"]);

  save<std::int32_t>("qc.npy", {3}, {0, 1, 5});
  save<std::int64_t>("rc.npy", {8}, {0, 1, 2, 0, 1, 2, 0, 1});
  const Finished classes =
      eval({"--metrics", "map", "--json"}, {{"--query-labels", "qc.npy"}, {"--retrieval-labels", "rc.npy"}});
  ASSERT_EQ(classes.exit_code, 0) << classes.err;
  EXPECT_EQ(Json::parse(classes.out)["n_without_relevant"], 1);
}

TEST_F(Eval, TextShowsAllAndValidMeans) {
  const Finished text = eval({"--metrics", "map"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("3 queries, 8 retrieval items, 4 bits"));
  EXPECT_THAT(text.out, HasSubstr("1 of the queries have no relevant item"));
  EXPECT_THAT(text.out, testing::ContainsRegex("map +0.5322 +0.7982"));
}

TEST_F(Eval, ExactZerosAmongSignsAreCounted) {
  save<float>("q.npy", {3, 4}, {0, -1, 1, 1, -1, -1, 1, -1, 1, 1, -1, 0});
  const Finished zeros = eval({"--metrics", "map", "--json"});
  EXPECT_EQ(zeros.exit_code, 0);
  EXPECT_EQ(Json::parse(zeros.out)["n_zeros"]["query"], 2);
  EXPECT_EQ(zeros.err, "note: 2 values of the query codes are exactly 0 and count as bit 0\n");
}

TEST_F(Eval, RefusalsNameTheFileAndThePlace) {
  const auto expect = [&](const Finished& finished, int exit_code, const std::string& sentence) {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, HasSubstr(sentence));
  };
  expect(eval({}, {{"--query-codes", "none.npy"}}), 4, "none.npy");
  save<float>("nan.npy", {3, 4}, {1, 1, 1, 1, 1, 1, std::nanf(""), 1, 1, 1, 1, 1});
  expect(eval({}, {{"--query-codes", "nan.npy"}}), 2, "nan.npy: codes hold NaN at row 1, column 2");
  save<float>("flat.npy", {12}, std::vector<float>(12, 1));
  expect(eval({}, {{"--query-codes", "flat.npy"}}), 2,
         "flat.npy: its shape is [12]; codes have two dimensions, n x K");
  save<std::uint8_t>("two.npy", {3, 4}, {1, 0, 0, 2, 0, 1, 1, 0, 0, 0, 0, 1});
  expect(eval({}, {{"--query-labels", "two.npy"}}), 2,
         "two.npy: label value 2 at row 0, column 3; allowed: 0 and 1");
  save<std::int64_t>("classes.npy", {3}, {0, 1, 2});
  expect(eval({}, {{"--query-labels", "classes.npy"}}), 2, "all label files must have one form");
  save<float>("half.npy", {8}, {0.5, 0, 0, 0, 0, 0, 0, 0});
  expect(eval({}, {{"--query-labels", "classes.npy"}, {"--retrieval-labels", "half.npy"}}), 2,
         "half.npy: class 0.5 at row 0");
  expect(eval({"--packed-bits", "4"}), 2,
         "q.npy: it holds f32 of shape [3, 4]; codes packed to 4 bits are u8 of 1 columns");
  expect(eval({"--metrics", "map@5"}), 2, "'map@5' has three meanings");
  expect(eval({"--metrics", "t_map"}), 2, "metric 't_map' needs target labels, and there are none");
  expect(eval({"--ties", "odd"}), 2, "'odd' is not a rule for ties; allowed: expected, stable, best, worst");
  expect(eval({}, {{"--query-labels", "rl.npy"}}), 2, "3 query codes but 8 rows of query labels");
  write("text.npy", "this is no array");
  expect(eval({}, {{"--query-codes", "text.npy"}}), 1, "text.npy");
}

}  // namespace
}  // namespace gauntlet::cli
