// The sweeps of the paper's tables plan to what their comments promise, on stand-ins for the three data sets.
#include <map>

#include "core/io/npy.hpp"
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing_support::Finished;

/// Twelve items: two queries, six training pairs, four more to retrieve.
constexpr std::int64_t kItems = 12;

class PaperSweeps : public CliTest {
 protected:
  void SetUp() override {
    prepare("flickr25k", 24, false);
    prepare("mscoco", 80, true);
    prepare("nuswide", 21, false);
  }

  /// Number of jobs by "kind entry".
  [[nodiscard]] std::map<std::string, int> plan(const std::string& sweep) const {
    const Finished planned =
        gauntlet({"plan", GAUNTLET_SOURCE_DIR "/sweeps/" + sweep, "--workdir", workdir().string(), "--json"});
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    std::map<std::string, int> jobs;
    if (planned.exit_code != 0) return jobs;
    const Json document = Json::parse(planned.out);
    for (const Json& row : document.at("kinds"))
      jobs[row.at("kind").get<std::string>() + " " + row.value("entry", "")] += row.at("new").get<int>();
    return jobs;
  }

 private:
  void prepare(const std::string& name, std::int64_t n_labels, bool has_text_features) const {
    constexpr std::int64_t kPx = 224, kWords = 8;
    const auto bytes = [](std::int64_t n, std::uint8_t value) {
      return std::vector<std::uint8_t>(static_cast<std::size_t>(n), value);
    };
    const std::filesystem::path path = folder() / "data" / name;
    std::filesystem::create_directories(path);
    const auto images = bytes(kItems * kPx * kPx * 3, 128);
    ASSERT_TRUE(io::write_npy<std::uint8_t>(path / "images.npy", {kItems, kPx, kPx, 3}, images));
    if (has_text_features) {
      const std::vector<float> text(static_cast<std::size_t>(kItems * kWords), -0.5F);
      ASSERT_TRUE(io::write_npy<float>(path / "text.npy", {kItems, kWords}, text));
    } else {
      const auto text = bytes(kItems * kWords, 1);
      ASSERT_TRUE(io::write_npy<std::uint8_t>(path / "text.npy", {kItems, kWords}, text));
    }
    const auto labels = bytes(kItems * n_labels, 1);
    ASSERT_TRUE(io::write_npy<std::uint8_t>(path / "labels.npy", {kItems, n_labels}, labels));
    const std::vector<std::uint8_t> split = {0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2};
    ASSERT_TRUE(io::write_npy<std::uint8_t>(path / "split.npy", {kItems}, split));
    write("data/" + name + "/dataset.json", "{\"name\": \"" + name + "\"}");
  }
};

int total(const std::map<std::string, int>& jobs, const std::string& kind) {
  int n = 0;
  for (const auto& [name, count] : jobs) n += name.starts_with(kind + " ") ? count : 0;
  return n;
}

TEST_F(PaperSweeps, Table2TrainsEveryTargetModelAndEveryAttackOnce) {
  const auto jobs = plan("paper-table2.yaml");
  EXPECT_EQ(total(jobs, "prepare"), 3);
  EXPECT_EQ(total(jobs, "features"), 3);  // CNN-F once per data set; DAPH trains its AlexNet
  EXPECT_EQ(total(jobs, "train_model"), 9);
  EXPECT_EQ(total(jobs, "train_attack"), 27);
  EXPECT_EQ(total(jobs, "train_defense"), 54);
  EXPECT_EQ(total(jobs, "evaluate"), 162);
}

TEST_F(PaperSweeps, Table3AndFigure2AddNoTrainingToTable2) {
  const auto table2 = plan("paper-table2.yaml");
  for (const std::string sweep : {"paper-table3.yaml", "paper-fig2.yaml"}) {
    const auto jobs = plan(sweep);
    ASSERT_FALSE(jobs.empty());
    for (const auto& [name, count] : jobs) {
      if (!name.starts_with("train_")) continue;
      EXPECT_LE(count, table2.at(name)) << sweep << " " << name;
    }
  }
}

TEST_F(PaperSweeps, Table4SharesModelAttackAndAdversarialExamples) {
  const auto jobs = plan("paper-table4.yaml");
  EXPECT_EQ(total(jobs, "train_model"), 3);
  EXPECT_EQ(total(jobs, "train_attack"), 6);
  EXPECT_EQ(jobs.at("craft pgd"), 6);
  EXPECT_EQ(total(jobs, "train_defense"), 36);  // six variants, three data sets, two sides
}

}  // namespace
}  // namespace gauntlet::cli
