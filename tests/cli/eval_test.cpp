// gauntlet eval on files: three queries worked out by hand, every form of codes and labels, every refusal.
#include <algorithm>
#include <cmath>

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
  save<std::int64_t>("column.npy", {3, 1}, {0, 1, 2});
  save<std::int64_t>("columns.npy", {8, 1}, {0, 1, 2, 0, 1, 2, 0, 1});
  expect(eval({}, {{"--query-labels", "column.npy"}, {"--retrieval-labels", "columns.npy"}}), 2,
         "column.npy: label value 2 at row 2, column 0; allowed: 0 and 1; classes are an array of one "
         "dimension, n");
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

TEST_F(Eval, EveryMetricHasAPlaceInTheDocument) {
  const Json all = document(
      {"--metrics", "recall@3,acg@3,ndcg@3,wap,precision_radius@2,pr:rank_macro,pr:recall_levels/best"});
  EXPECT_NEAR(value(all, "recall@3"), (1.0 / 2 + 9.0 / 28) / 3, 1e-12);
  EXPECT_EQ(all["metrics"]["acg@3"]["unit"], "labels");
  EXPECT_NEAR(value(all, "wap"), (34.0 / 45 + 19897.0 / 17640) / 3, 1e-12);
  EXPECT_EQ(all["metrics"]["pr:rank_macro"]["kind"], "rank_macro");
  EXPECT_EQ(all["metrics"]["pr:rank_macro"]["recall"].size(), 8U);
  EXPECT_EQ(all["metrics"]["pr:recall_levels/best"]["precision"].size(), 10U);
}

TEST_F(Eval, ValuesOfEveryQueryGoToAFile) {
  EXPECT_EQ(eval({"--metrics", "map,pr,precision@2/stable", "--per-query", "values.csv"}).exit_code, 0);
  const std::string text = read(folder() / "values.csv");
  EXPECT_THAT(text, testing::StartsWith("query,map,precision@2/stable\n0,0.7555555555555555,"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);

  EXPECT_EQ(eval({"--metrics", "map,precision@2", "--per-query", "values.npy"}).exit_code, 0);
  const io::NpyArray array = io::read_npy(folder() / "values.npy").value();
  EXPECT_THAT(array.shape, testing::ElementsAre(3, 2));
  EXPECT_NEAR(array.as<double>().value()[2], 9889.0 / 11760, 1e-12);

  const Finished refused = eval({"--per-query", "values.txt"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--per-query writes .csv or .npy, not 'values.txt'"));
}

TEST_F(Eval, ClassesAndIntervalsOnRequest) {
  const std::vector<std::string> words = {"--metrics", "map,pr", "--per-class",  "--bootstrap", "200",
                                          "--seed",    "5",      "--confidence", "0.9"};
  const Json all = document(words);
  const Json& classes = all["metrics"]["map"]["per_class"];
  ASSERT_EQ(classes.size(), 4U);
  EXPECT_EQ(classes[1]["class"], 1);
  EXPECT_EQ(classes[1]["n_queries"], 1);
  EXPECT_NEAR(classes[1]["value"].get<double>(), 9889.0 / 11760, 1e-12);
  EXPECT_EQ(classes[3]["n_valid"], 0);
  EXPECT_EQ(all["bootstrap"], (Json{{"resamples", 200}, {"seed", 5}, {"confidence", 0.9}}));
  const Json& interval = all["metrics"]["map"]["interval"];
  EXPECT_LT(interval[0], value(all, "map"));
  EXPECT_GT(interval[1], value(all, "map"));
  EXPECT_FALSE(all["metrics"]["pr"].contains("interval"));
  EXPECT_FALSE(all["metrics"]["pr"].contains("per_class"));
  EXPECT_EQ(document(words), all) << "the same seed, the same document";

  const Finished text = eval(words);
  EXPECT_THAT(text.out, HasSubstr("90 % interval of all"));
  EXPECT_THAT(text.out, testing::ContainsRegex("class +queries +map"));
  EXPECT_THAT(eval({"--seed", "5"}).err, HasSubstr("--seed has no effect without --bootstrap N"));
  EXPECT_THAT(eval({"--confidence", "0.5"}).err,
              HasSubstr("--confidence has no effect without --bootstrap N"));
}

TEST_F(Eval, WhatLooksLikeAMistakeIsRemarkedOn) {
  const auto remarks = [&](const Finished& finished) {
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    const Json document = Json::parse(finished.out);
    for (const Json& remark : document["remarks"]) {
      EXPECT_THAT(finished.err, HasSubstr("note: " + remark.get<std::string>()));
    }
    return document["remarks"].dump();
  };
  EXPECT_EQ(remarks(eval({"--metrics", "map", "--json"})), "[]");
  EXPECT_THAT(remarks(eval({"--metrics", "precision@9,map@9:topk_ir", "--json"})),
              testing::AllOf(HasSubstr("'precision@9' looks at 9 items, but there are only 8"),
                             HasSubstr("'map@9:topk_ir' looks at 9 items")));
  EXPECT_THAT(remarks(eval({"--metrics", "precision_radius@4", "--json"})),
              HasSubstr("every item lies within the radius of 'precision_radius@4': codes have 4 bits"));
  EXPECT_THAT(remarks(eval({"--metrics", "map", "--json"}, {{"--query-codes", "r.npy"},
                                                            {"--query-labels", "rl.npy"},
                                                            {"--retrieval-codes", "q.npy"},
                                                            {"--retrieval-labels", "ql.npy"}})),
              HasSubstr("there are more queries (8) than retrieval items (3); are the files swapped?"));
  save<std::uint8_t>("other.npy", {3, 4}, {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1});
  EXPECT_THAT(remarks(eval({"--metrics", "map", "--json"}, {{"--query-labels", "other.npy"}})),
              HasSubstr("no query has a relevant item"));
}

TEST_F(Eval, CodesThatTellNothingApartAreRemarkedOn) {
  save<float>("same.npy", {8, 4}, std::vector<float>(32, 1));
  const Finished same = eval({"--metrics", "map"}, {{"--retrieval-codes", "same.npy"}});
  EXPECT_EQ(same.exit_code, 0);
  EXPECT_EQ(same.err, "note: all 8 retrieval codes are the same, so they tell nothing apart\n");

  std::vector<std::int8_t> codes;
  std::vector<std::int64_t> classes;
  for (int row = 0; row < 40; ++row) {  // bits 1 and 2 never change
    for (const bool bit : {row % 2 == 0, true, false, row % 3 == 0}) codes.push_back(bit ? 1 : -1);
    classes.push_back(row % 3);
  }
  save<std::int8_t>("stuck.npy", {40, 4}, codes);
  save<std::int64_t>("classes.npy", {40}, classes);
  save<std::int64_t>("few.npy", {3}, {0, 1, 2});
  const Finished stuck = eval({"--metrics", "map"}, {{"--retrieval-codes", "stuck.npy"},
                                                     {"--retrieval-labels", "classes.npy"},
                                                     {"--query-labels", "few.npy"}});
  EXPECT_EQ(stuck.err,
            "note: 2 of the 4 bits of the retrieval codes are the same in all 40 rows (bits 1, 2)\n");
}

TEST_F(Eval, RowsThatDoNotMatchSayWhichFilesAndWhetherTheyLookSwapped) {
  const Finished swapped = eval({}, {{"--query-labels", "rl.npy"}, {"--retrieval-labels", "ql.npy"}});
  EXPECT_EQ(swapped.exit_code, 2);
  EXPECT_THAT(swapped.err, HasSubstr("3 query codes but 8 rows of query labels (q.npy, rl.npy); they must "
                                     "agree; are the files of the query and the retrieval labels swapped?"));
  EXPECT_THAT(eval({}, {{"--retrieval-labels", "ql.npy"}}).err,
              HasSubstr("8 retrieval codes but 3 rows of retrieval labels (r.npy, ql.npy); they must agree"));
  EXPECT_THAT(eval({}, {{"--target-labels", "rl.npy"}}).err,
              HasSubstr("3 query codes but 8 rows of target labels (q.npy, rl.npy)"));
  save<std::uint8_t>("wide.npy", {8, 5}, std::vector<std::uint8_t>(40, 1));
  EXPECT_THAT(eval({}, {{"--retrieval-labels", "wide.npy"}}).err,
              HasSubstr("ql.npy has labels of 4 columns, wide.npy of 5; they must agree"));
}

TEST_F(Eval, FilesOfManyBlocksGiveWhatEachFormOfThemGives) {
  constexpr std::int64_t kRows = 70'001;  // more than a block, and not a whole number of pieces
  std::vector<float> codes;
  std::vector<std::uint8_t> bytes, labels;
  std::vector<std::int32_t> classes;
  std::uint32_t state = 1;
  for (std::int64_t row = 0; row < kRows; ++row) {
    state = state * 1664525 + 1013904223;
    bytes.push_back(static_cast<std::uint8_t>(state >> 24));
    for (int bit = 0; bit < 8; ++bit) codes.push_back(((bytes.back() >> bit) & 1) != 0 ? 1.5F : -0.5F);
    classes.push_back(static_cast<std::int32_t>((state >> 16) % 3));
    for (int label = 0; label < 3; ++label) labels.push_back(classes.back() == label ? 1 : 0);
  }
  save<float>("codes.npy", {kRows, 8}, codes);
  save<std::uint8_t>("bytes.npy", {kRows, 1}, bytes);
  save<std::uint8_t>("labels.npy", {kRows, 3}, labels);
  save<std::int32_t>("classes.npy", {kRows}, classes);
  save<float>("qc.npy", {3, 8}, std::vector<float>(codes.end() - 24, codes.end()));
  save<std::uint8_t>("qb.npy", {3, 1}, std::vector<std::uint8_t>(bytes.end() - 3, bytes.end()));
  save<std::uint8_t>("qlabels.npy", {3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  save<std::int32_t>("qclasses.npy", {3}, {0, 1, 2});
  const std::vector<std::string> words = {"--metrics", "map,map/stable,ndcg@10/stable,pr", "--json"};
  std::vector<std::string> packed = words;
  packed.insert(packed.end(), {"--packed-bits", "8"});
  const Finished one = eval(words, {{"--query-codes", "qc.npy"},
                                    {"--retrieval-codes", "codes.npy"},
                                    {"--query-labels", "qlabels.npy"},
                                    {"--retrieval-labels", "labels.npy"}});
  const Finished other = eval(packed, {{"--query-codes", "qb.npy"},
                                       {"--retrieval-codes", "bytes.npy"},
                                       {"--query-labels", "qclasses.npy"},
                                       {"--retrieval-labels", "classes.npy"}});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(one.out, other.out) << other.err;
  codes[8 * 66'000 + 3] = std::nanf("");
  save<float>("codes.npy", {kRows, 8}, codes);
  EXPECT_THAT(eval(words, {{"--query-codes", "qc.npy"},
                           {"--retrieval-codes", "codes.npy"},
                           {"--query-labels", "qlabels.npy"},
                           {"--retrieval-labels", "labels.npy"}})
                  .err,
              HasSubstr("codes.npy: codes hold NaN at row 66000, column 3"));
  labels[3 * 69'999 + 1] = 7;
  save<std::uint8_t>("labels.npy", {kRows, 3}, labels);
  EXPECT_THAT(eval(packed, {{"--query-codes", "qb.npy"},
                            {"--retrieval-codes", "bytes.npy"},
                            {"--query-labels", "qlabels.npy"},
                            {"--retrieval-labels", "labels.npy"}})
                  .err,
              HasSubstr("labels.npy: label value 7 at row 69999, column 1"));
}

}  // namespace
}  // namespace gauntlet::cli
