// Heat maps and retrieval sheets of a small sweep, through the real processes.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

constexpr std::string_view kSweep = R"(gauntlet: 1
name: looks
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 2, batch_size: 64}]
  bits: [16]
  defense:
    - none
    - {name: drfgd, n_train: 72, width: 4, text_hidden: 16, text_bottleneck: 16, text_branch: 32, epochs_image: 1,
       epochs_text: 1, craft_steps: 2}
  attack: [none, {name: pgd, label: PGD, steps: 3, epsilon_image: 8/255}]
exclude:
  - {defense: drfgd, attack: none}
explain:
  - {match: {defense: drfgd}, queries: 3}
metrics: [map]
)";

class Explain : public testing::Test {
 protected:
  Finished command(std::vector<std::string> words) const {
    words.insert(words.begin(), kGauntlet);
    words.insert(words.end(), {"--workdir", (folder_.path() / "runs").string()});
    return testing_support::run(words, folder_.path(), {}, std::chrono::seconds(300));
  }
  fs::path file(const std::string& name) const { return folder_.path() / name; }

  testing_support::TempFolder folder_;
};

std::size_t n_lines(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST_F(Explain, SheetsComeFromTheSweepAndItsMistakesHaveSentences) {
  std::ofstream(file("looks.yaml")) << kSweep;
  const Finished swept = command({"run", file("looks.yaml")});
  ASSERT_EQ(swept.exit_code, 0) << swept.err;

  const Finished rows = command(
      {"query", "SELECT count(*) FROM v_results WHERE metric LIKE 'heat_%' OR metric LIKE 'bits_flipped%'",
       "--format", "json"});
  ASSERT_EQ(rows.exit_code, 0) << rows.err;
  EXPECT_EQ(Json::parse(rows.out).at("rows").at(0).at(0), 2 * 8) << "two directions, eight numbers each";

  const Finished maps = command({"plot", "heatmap", file("looks.yaml")});
  ASSERT_EQ(maps.exit_code, 0) << maps.err;
  EXPECT_EQ(n_lines(maps.out), 2U) << maps.out;
  const std::string svg =
      read_file(folder_.path() / "runs/plots/looks_heatmap_drfgd_PGD_i2t.svg").value_or("");
  EXPECT_THAT(svg, HasSubstr("AVF map"));
  EXPECT_THAT(svg, HasSubstr("of 16 bits flipped"));

  const Finished retrieval =
      command({"plot", "retrieval", "looks", "--where", "defense=drfgd and direction=t2i", "--output",
               file("r.png"), "--n", "2"});
  ASSERT_EQ(retrieval.exit_code, 0) << retrieval.err;
  EXPECT_EQ(read_file(file("r.png")).value_or("").substr(1, 3), "PNG");
  const Finished all = command({"plot", "retrieval", "looks"});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(n_lines(all.out), 4U) << "none and drfgd, both directions";
  EXPECT_THAT(read_file(folder_.path() / "runs/plots/looks_retrieval_drfgd_PGD_i2t.svg").value_or(""),
              HasSubstr("before the attack"));

  const Finished unknown = command({"plot", "heatmap", "lokks"});
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'looks'"));
  const Finished several = command({"plot", "heatmap", "looks", "--output", file("x.svg")});
  EXPECT_EQ(several.exit_code, 2);
  EXPECT_THAT(several.err, HasSubstr("2 sheets match"));
  const Finished row = command(
      {"plot", "retrieval", "looks", "--where", "defense=drfgd and direction=i2t", "--rows", "999999"});
  EXPECT_EQ(row.exit_code, 2);
  EXPECT_THAT(row.err, HasSubstr("row 999999 is no query of the set"));
  const Finished none = command({"plot", "heatmap", "looks", "--where", "defense=none"});
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_THAT(none.err, HasSubstr("explain: [{queries: 8}]"));
  const Finished pdf = command({"plot", "heatmap", "looks", "--format", "pdf"});
  EXPECT_EQ(pdf.exit_code, 2);
  EXPECT_THAT(pdf.err, HasSubstr("svg or png, not pdf"));

  // The same sweep with a query that is none: all but the explain jobs are done already.
  std::string wrong(kSweep);
  wrong.replace(wrong.find("queries: 3"), 10, "queries: [999999]");
  wrong.replace(wrong.find("name: looks"), 11, "name: wrong");
  std::ofstream(file("wrong.yaml")) << wrong;
  EXPECT_EQ(command({"run", file("wrong.yaml")}).exit_code, 3);
  const Finished failed = command({"plot", "heatmap", "wrong", "--where", "direction=i2t"});
  EXPECT_EQ(failed.exit_code, 7);
  EXPECT_THAT(failed.err, HasSubstr("is failed"));
  EXPECT_THAT(failed.err, HasSubstr("row 999999 is no query of the set"));
  EXPECT_EQ(command({"plot", "heatmap", "wrong", "--allow-missing"}).exit_code, 0);
}

}  // namespace
}  // namespace gauntlet
