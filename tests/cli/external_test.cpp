// External entries on the command line: catalog, plan, conformance; codes of other programs.
#include "core/io/npy.hpp"
#include "tests/cli/cli_test_base.hpp"
#include "tests/support/mat5_writer.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Finished;

class ExternalCli : public CliTest {
 protected:
  /// An attack in shell.
  [[nodiscard]] fs::path attack(const std::string& script, const std::string& more = "") const {
    write("run.sh", script);
    return write(
        "attack.yaml",
        "gauntlet_external: 1\nkind: attack\nname: mine\nsummary: one of ours\ncommand: [sh, run.sh]\n"
        "files: [run.sh]\ninputs: [inputs]\noutputs: [inputs.npy]\ncapabilities: {text: false}\n"
        "fields:\n  epsilon: {type: real, default: 8/255, min: 0, max: 1, doc: How far.}\n" +
            more);
  }
};

TEST_F(ExternalCli, TheCatalogShowsThem) {
  static_cast<void>(attack("true"));
  const Finished all = gauntlet({"catalog", "--external", "."});
  EXPECT_THAT(all.out, AllOf(HasSubstr("  mine             one of ours (external)\n"), HasSubstr("  pgd ")));
  const Finished one = gauntlet({"catalog", "mine", "--external", "attack.yaml"});
  EXPECT_THAT(one.out,
              AllOf(HasSubstr("attack mine (version "), HasSubstr("epsilon"), HasSubstr("How far.")));
  EXPECT_EQ(gauntlet({"catalog", "mine"}).exit_code, 4);
}

TEST_F(ExternalCli, SweepsFindThemBesideThemselves) {
  static_cast<void>(attack("true"));
  const std::string axes =
      "axes:\n  dataset: {name: picto_scenes, preset: smoke}\n  model: cpah\n  bits: 16\n  direction: i2t\n  "
      "attack: ";
  write("sweep.yaml",
        "gauntlet: 1\nname: s\nexternal: [attack.yaml]\n" + axes + "[none, mine]\nmetrics: [map]\n");
  const Finished plan = gauntlet({"plan", "sweep.yaml"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("command"));
  write("typo.yaml", "gauntlet: 1\nname: s\nexternal: attack.yaml\n" + axes +
                         "{name: mine, epsilom: 1}\nmetrics: [map]\n");
  const Finished typo = gauntlet({"plan", "typo.yaml"});
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_THAT(typo.err, HasSubstr("did you mean 'epsilon'"));
  write("gone.yaml",
        "gauntlet: 1\nname: s\nexternal: [gone/attack.yaml]\n" + axes + "mine\nmetrics: [map]\n");
  EXPECT_THAT(gauntlet({"plan", "gone.yaml"}).err, HasSubstr("names the file gone/attack.yaml"));
}

TEST_F(ExternalCli, PlainCommandsRunAsProcesses) {
  write("sweep.yaml", "gauntlet: 1\nname: c\ncommand: {jobs: 3, run: [sh, -c, 'echo x >> ran; exit 0']}\n");
  const Finished run = gauntlet({"run", "sweep.yaml", "--workdir", workdir().string()});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const Finished rows =
      gauntlet({"query",
                "SELECT count(*) FROM results r JOIN metrics m USING (metric_id) WHERE m.name = "
                "'run_time'",
                "--format", "csv", "--workdir", workdir().string()});
  EXPECT_THAT(rows.out, HasSubstr("3"));
}

TEST_F(ExternalCli, ConformanceSaysWhatHolds) {
  const Finished good =
      gauntlet({"verify", "--external",
                attack("cp inputs/inputs.npy outputs/; echo hello", "budget: {linf: epsilon}\n").string()});
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_THAT(good.out, AllOf(HasSubstr("ok     craft image: runs"), HasSubstr("repeatable"),
                              HasSubstr("seed"), Not(HasSubstr("craft text")), Not(HasSubstr("hello"))));
  const Finished random = gauntlet(
      {"verify", "--external", attack("cp inputs/inputs.npy outputs/", "random: true\n").string(), "--json"});
  EXPECT_EQ(random.exit_code, 1);
  EXPECT_THAT(random.out, HasSubstr("another seed gave the same outputs"));
  // A file beside the descriptor counts the runs: no two leave the same.
  const std::string count = (folder() / "count").string();
  const Finished wild = gauntlet(
      {"verify", "--external",
       attack("cp inputs/inputs.npy outputs/; echo x >> " + count + "; n=$(wc -l < " + count +
              "); printf \"\\\\00$n\" | dd of=outputs/inputs.npy bs=1 seek=128 conv=notrunc status=none")
           .string()});
  EXPECT_EQ(wild.exit_code, 1) << wild.out;
  EXPECT_THAT(wild.out, HasSubstr("the same seed gave other outputs the second time"));
  const Finished hostile =
      gauntlet({"verify", "--external", attack("ln -s /etc/passwd outputs/inputs.npy").string()});
  EXPECT_EQ(hostile.exit_code, 1);
  EXPECT_THAT(hostile.out, HasSubstr("is no ordinary file"));
  const Finished endless = gauntlet({"verify", "--external", attack("yes", "limits: {log: 1MB}\n").string()});
  EXPECT_EQ(endless.exit_code, 1);
  EXPECT_THAT(endless.out, HasSubstr("printed more than"));
  EXPECT_LT(endless.err.size(), 20'000U) << "a screen full, not all that it printed";
  const Finished screen =
      gauntlet({"verify", "--external", attack("printf '\\033[2Jgone\\n'; exit 1").string()});
  EXPECT_THAT(screen.out, HasSubstr("it printed last:\n\\x1b[2Jgone"));
  EXPECT_THAT(screen.err, HasSubstr("\\x1b[2Jgone"));
  write("bad.yaml", "gauntlet_external: 1\nkind: attack\n");
  const Finished bad = gauntlet({"verify", "--external", "bad.yaml"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:1:1: the descriptor has no 'name'"));
}

class ImportCodes : public CliTest {
 protected:
  template <class T>
  void array(const std::string& name, const std::vector<std::int64_t>& shape,
             const std::vector<T>& values) const {
    ASSERT_TRUE(io::write_npy<T>(folder() / name, shape, std::span<const T>(values)));
  }
  void SetUp() override {
    array<float>("q.npy", {2, 4}, {1, -1, 1, -1, -1, -1, 1, 1});
    array<float>("r.npy", {3, 4}, {1, -1, 1, -1, 1, -1, 1, 1, -1, 1, -1, -1});
    array<std::uint8_t>("ql.npy", {2, 2}, {1, 0, 0, 1});
    array<std::uint8_t>("rl.npy", {3, 2}, {1, 0, 0, 1, 1, 1});
  }
  [[nodiscard]] Finished import(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"import",
                                      "codes",
                                      "--name",
                                      "theirs",
                                      "--dataset",
                                      "picto",
                                      "--model",
                                      "their_hash",
                                      "--query-codes",
                                      "q.npy",
                                      "--retrieval-codes",
                                      "r.npy",
                                      "--query-labels",
                                      "ql.npy",
                                      "--retrieval-labels",
                                      "rl.npy",
                                      "--workdir",
                                      workdir().string()};
    words.insert(words.end(), more.begin(), more.end());
    return gauntlet(words);
  }
};

TEST_F(ImportCodes, BecomeRowsMarkedAsImported) {
  const Finished first = import();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Finished eval =
      gauntlet({"eval", "--query-codes", "q.npy", "--retrieval-codes", "r.npy", "--query-labels", "ql.npy",
                "--retrieval-labels", "rl.npy", "--metrics", "map", "--json"});
  const double map = Json::parse(eval.out)["metrics"]["map"]["value"];
  const Finished rows =
      gauntlet({"query", "SELECT model, bits, protocol, metric, value FROM v_results WHERE metric = 'map'",
                "--format", "json", "--workdir", workdir().string()});
  const Json row = Json::parse(rows.out)["rows"][0];
  EXPECT_EQ(row[0], "their_hash");
  EXPECT_EQ(row[1], 4);
  EXPECT_EQ(row[2], "imported");
  EXPECT_EQ(row[4], map);
  const Finished again = import({"--json"});
  EXPECT_EQ(Json::parse(again.out)["new_cells"], 0);
}

TEST_F(ImportCodes, ReadMatFiles) {
  namespace mat5 = testing_support::mat5;
  // The same codes, column after column as MATLAB keeps them.
  write("codes.mat", mat5::file({mat5::numbers<double>("qB", mat5::kDouble, {2, 4}, mat5::kF64,
                                                       {1, -1, -1, -1, 1, 1, -1, 1}),
                                 mat5::numbers<double>("rB", mat5::kDouble, {3, 4}, mat5::kF64,
                                                       {1, 1, -1, -1, -1, 1, 1, 1, -1, -1, 1, -1})}));
  const Finished arrays = import({"--json"});
  ASSERT_EQ(arrays.exit_code, 0) << arrays.err;
  const auto from_mat = [&](const std::string& query) {
    return gauntlet({"import", "codes", "--name", "matlab", "--dataset", "picto", "--model", "their_hash",
                     "--query-codes", query, "--retrieval-codes", "codes.mat:rB", "--query-labels", "ql.npy",
                     "--retrieval-labels", "rl.npy", "--workdir", workdir().string(), "--json"});
  };
  const Finished mat = from_mat("codes.mat:qB");
  ASSERT_EQ(mat.exit_code, 0) << mat.err;
  EXPECT_EQ(Json::parse(mat.out)["metrics"], Json::parse(arrays.out)["metrics"]);
  EXPECT_THAT(from_mat("codes.mat").err, HasSubstr("holds qB, rB; say which, as in codes.mat:qB"));
  EXPECT_THAT(from_mat("codes.mat:qb").err, HasSubstr("did you mean 'qB'"));
}

TEST_F(ImportCodes, RefuseWhatTheyCannotBe) {
  EXPECT_NE(import({"--target-labels", "missing.npy"}).exit_code, 0);
  const Finished direction = import({"--direction", "i2i"});
  EXPECT_EQ(direction.exit_code, 2);
  EXPECT_THAT(direction.err, HasSubstr("allowed: i2t, t2i"));
}

}  // namespace
}  // namespace gauntlet::cli
