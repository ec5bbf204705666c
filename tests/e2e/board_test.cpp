// Leaderboards through the real processes: two laboratories run the same sweep with other seeds, export,
// merge and show what they found.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::TempFolder;

constexpr auto kRunLimit = std::chrono::seconds(300);

std::string sweep(int seed) {
  return fmt::format(
      "gauntlet: 1\n"
      "name: boards\n"
      "axes:\n"
      "  dataset: [{{name: picto_scenes, preset: smoke}}]\n"
      "  model: [{{name: cpah, backbone_width: 8, hidden: 32, batch_size: 64, epochs: 15}}]\n"
      "  bits: [16]\n"
      "  defense: [none, box_blur]\n"
      "  attack: [none, {{name: worst, set: quick, rounding: u8}}]\n"
      "  direction: [i2t]\n"
      "  seed: [{}]\n"
      "metrics: [map]\n"
      "resources: {{train_model: {{cpus: 1}}, craft: {{cpus: 1}}}}\n",
      seed);
}

/// Each measured one of the two seeds, with an equal share.
auto both_found() { return testing::AnyOf(HasSubstr("Lab A, Lab B"), HasSubstr("Lab B, Lab A")); }

class Boards : public ::testing::Test {
 protected:
  [[nodiscard]] Finished gauntlet(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), GAUNTLET_BINARY_DIR "/bin/gauntlet");
    return testing_support::run(arguments, folder_.path(), {}, kRunLimit);
  }
  /// What a laboratory measures with its own seed, as the file it sends.
  void measure(const std::string& lab, int seed) const {
    std::ofstream(folder_.path() / (lab + ".yaml")) << sweep(seed);
    const Finished run = gauntlet({"run", lab + ".yaml", "--workdir", lab});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const Finished made = gauntlet(
        {"board", "export", "boards", "--by", "Lab " + lab, "--to", lab + ".json", "--workdir", lab});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  [[nodiscard]] Json standings(const std::string& file) const {
    const Json shown = Json::parse(gauntlet({"board", "show", file, "--json"}).out);
    EXPECT_EQ(shown["boards"].size(), 1U) << "one threat model, whoever measures";
    return shown["boards"].begin().value()["standings"];
  }
  [[nodiscard]] std::string text_of(const std::string& file) const {
    std::ifstream in(folder_.path() / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempFolder folder_;
};

TEST_F(Boards, OfTwoLaboratoriesMeetInOneTable) {
  measure("A", 1);
  measure("B", 2);
  ASSERT_EQ(gauntlet({"board", "merge", "A.json", "B.json", "--to", "both.json"}).exit_code, 0);
  EXPECT_EQ(gauntlet({"board", "merge", "B.json", "A.json"}).out, text_of("both.json"));
  EXPECT_EQ(gauntlet({"board", "merge", "both.json", "A.json", "both.json"}).out, text_of("both.json"));

  const Json a = standings("A.json"), b = standings("B.json"), both = standings("both.json");
  ASSERT_EQ(both.size(), 2U);
  for (const auto& [entry, standing] : both.items()) {
    EXPECT_EQ(standing["runs"], 2);  // two weights, two seeds
    const double mean = (a.at(entry)["best_known"]["value"].get<double>() +
                         b.at(entry)["best_known"]["value"].get<double>()) /
                        2;
    EXPECT_NEAR(standing["best_known"]["value"].get<double>(), mean, 1e-9);
    EXPECT_LT(mean, standing["clean"].get<double>()) << "nothing was attacked";
  }
  const Finished shown = gauntlet({"board", "show", "both.json", "--html", "both.html"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(text_of("both.html"), AllOf(HasSubstr("box_blur"), both_found()));
  EXPECT_THAT(gauntlet({"board", "show", "both.json"}).out,
              AllOf(HasSubstr("worst/quick@1"), HasSubstr("box_blur"), both_found()));
}

}  // namespace
}  // namespace gauntlet
