// A selection through the real processes: candidates measured on validation items, the choice, what it
// stands in for.

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing_support::Finished;
using testing_support::TempFolder;

constexpr auto kRunLimit = std::chrono::seconds(300);
const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

std::string sweep(const std::string& defenses, const std::string& models, const std::string& more) {
  return "gauntlet: 1\n"
         "name: chosen\n"
         "axes:\n"
         "  dataset: [{name: picto_scenes, preset: smoke}]\n"
         "  model: " +
         models +
         "\n"
         "  bits: [16]\n"
         "  defense: " +
         defenses +
         "\n"
         "  attack: [{name: pgd, label: PGD, steps: 3, epsilon_image: 8/255}]\n"
         "  direction: [i2t, t2i]\n"
         "exclude: [{defense: box_blur, direction: t2i}]\n"
         "metrics: [map]\n"
         "resources: {train_model: {cpus: 1}, train_defense: {cpus: 1}, craft: {cpus: 1}}\n"
         "tables: [" GAUNTLET_SOURCE_DIR "/results/tables/defense_comparison.yaml]\n" +
         more;
}

std::string model(const std::string& epochs) {
  return "{name: cpah, backbone_width: 8, hidden: 32, batch_size: 64" + epochs + "}";
}

std::string drfgd(const std::string& options) {
  return "{name: drfgd, n_train: 72, width: 4, text_hidden: 16, text_bottleneck: 16, text_branch: 32, "
         "epochs_image: 1, epochs_text: 1, craft_steps: 2" +
         options + "}";
}

const std::string kSelect =
    "select:\n"
    "  - {name: epochs, try: {model.epochs: [1, 15]}, by: {metric: map}, validation: {items: 60}}\n"
    "  - {name: weights, match: {defense: drfgd}, try: {defense.alpha: [0, 10], defense.skips: [false, "
    "true]},\n"
    "     by: {metric: map, attack: [none, PGD]}, validation: {items: 60}}\n"
    "  - {name: radius, match: {defense: box_blur}, try: {defense.radius: [1, 3]}, by: {metric: map, attack: "
    "PGD},\n     validation: {items: 60}}\n";

class SelectRun : public testing::Test {
 protected:
  fs::path workdir() const { return folder_.path() / "runs"; }
  Finished run(const std::string& text) {
    std::ofstream(folder_.path() / "sweep.yaml") << text;
    return testing_support::run(
        {kGauntlet, "run", (folder_.path() / "sweep.yaml").string(), "--workdir", workdir().string()},
        folder_.path(), {}, kRunLimit);
  }
  Json rows(const std::string& sql) {
    const Finished query = testing_support::run(
        {kGauntlet, "query", sql, "--workdir", workdir().string(), "--format", "json"}, folder_.path());
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return Json::parse(query.out).at("rows");
  }
  double number(const std::string& sql) {
    const Json found = rows(sql);
    EXPECT_THAT(found, SizeIs(1)) << sql;
    return found.empty() ? -1 : found.at(0).at(0).get<double>();
  }
  /// The value chosen for an option, "defense:alpha".
  double chosen(const std::string& option, const std::string& defense) {
    return number("SELECT DISTINCT value FROM v_results WHERE metric = 'selected_" + option +
                  "' AND variant = '' AND defense = '" + defense + "'");
  }

  TempFolder folder_;
};

/// The last bytes of a u8 array are its values, whatever the header says.
std::string split_of(const fs::path& folder, std::size_t n_items) {
  std::ifstream file(folder / "split.npy", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  return bytes.size() < n_items ? std::string() : bytes.substr(bytes.size() - n_items);
}

TEST_F(SelectRun, ChoosesOnValidationItemsAndReportsOnQueries) {
  const std::string text = sweep("[none, " + drfgd("") + ", box_blur]", "[" + model("") + "]", kSelect);
  const Finished finished = run(text);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_THAT(finished.out, Not(HasSubstr("alpha="))) << "candidates are in no table";

  // Candidates: two models, four defenses and two radii, each wherever it is measured.
  EXPECT_EQ(number("SELECT count(*) FROM v_results WHERE metric = 'validation_map' AND variant <> ''"),
            2 * 2 + 4 * 2 * 2 + 2);
  EXPECT_EQ(number("SELECT count(*) FROM v_results WHERE metric LIKE 'validation%' AND variant = ''"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM v_results WHERE metric = 'map' AND variant <> ''"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM v_missing"), 0);

  // The choice is the best mean of what is stored, the first of equals.
  const Json means = rows(
      "SELECT variant, avg(value) FROM v_results WHERE metric = 'validation_map' AND variant LIKE "
      "'weights/%' "
      "GROUP BY variant ORDER BY 2 DESC");
  ASSERT_THAT(means, SizeIs(4));
  const double alpha = chosen("defense:alpha", "drfgd");
  const bool skips = chosen("defense:skips", "drfgd") == 1;
  const double best = means.at(0).at(1).get<double>();
  EXPECT_NEAR(
      number("SELECT DISTINCT value FROM v_results WHERE metric = 'selected_defense:validation_map' AND "
             "defense = 'drfgd' AND job_key IN (SELECT key FROM v_jobs WHERE title LIKE 'select drfgd "
             "image%')"),
      best, 1e-9);

  // What is reported is what the winner's own values give.
  const std::string epochs = ", epochs: " + std::to_string(static_cast<int>(chosen("model:epochs", "none")));
  const auto final_map = [&](const std::string& where) {
    return rows("SELECT defense, direction, value FROM v_results WHERE metric = 'map' AND variant = '' AND " +
                where + " ORDER BY defense, direction");
  };
  const Json with_selection = final_map("sweep = 'chosen'");
  const std::string plain = sweep(
      "[none, " + drfgd(", alpha: " + std::to_string(alpha) + ", skips: " + (skips ? "true" : "false")) +
          ", {name: box_blur, radius: " +
          std::to_string(static_cast<int>(chosen("defense:radius", "box_blur"))) + "}]",
      "[" + model(epochs) + "]", "");
  std::string renamed = plain;
  renamed.replace(renamed.find("name: chosen"), 12, "name: plain");
  const Finished again = run(renamed);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(final_map("sweep = 'plain'"), with_selection);
  EXPECT_THAT(with_selection, SizeIs(5));

  // People look at queries: candidates have none.
  const Finished sheets = testing_support::run(
      {kGauntlet, "plot", "retrieval", "chosen", "--workdir", workdir().string()}, folder_.path());
  EXPECT_EQ(sheets.exit_code, 0) << sheets.err;
  EXPECT_EQ(std::ranges::count(sheets.out, '\n'), 5) << sheets.out;
}

TEST_F(SelectRun, ValidationItemsAreNoQueriesAndTrainedOnByNobody) {
  const Finished finished =
      run(sweep("[box_blur]", "[" + model(", epochs: 1") + "]",
                "select: [{name: radius, try: {defense.radius: [1, 2]}, by: {metric: map}, validation: "
                "{items: 60}}]\n"));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  std::string whole, validation;
  for (const auto& entry : fs::recursive_directory_iterator(workdir() / "artifacts" / "prepare")) {
    if (entry.path().filename() != "dataset.json") continue;
    std::ifstream file(entry.path());
    const Json about = Json::parse(file);
    std::string& split = about.contains("validation") ? validation : whole;
    split = split_of(entry.path().parent_path(), about.at("counts").at("items").get<std::size_t>());
  }
  ASSERT_EQ(whole.size(), 500U);
  ASSERT_EQ(validation.size(), 500U);
  std::size_t n_items = 0;
  for (std::size_t row = 0; row < whole.size(); ++row) {
    if (whole[row] == 0) {
      EXPECT_EQ(validation[row], 3) << "a query of the test is in no part, row " << row;
    } else if (whole[row] == 1) {
      EXPECT_EQ(validation[row], 1) << row;
    }
    if (validation[row] != 0) continue;
    ++n_items;
    EXPECT_EQ(whole[row], 2) << "retrieval outside train, row " << row;
  }
  EXPECT_EQ(n_items, 60U);
}

TEST_F(SelectRun, ASplitThatIsTooLargeSaysWhatMayBeAskedFor) {
  const Finished finished =
      run(sweep("[box_blur]", "[" + model(", epochs: 1") + "]",
                "select: [{name: radius, try: {defense.radius: [1, 2]}, by: {metric: map}, validation: "
                "{items: 400}}]\n"));
  EXPECT_EQ(finished.exit_code, 3);
  EXPECT_THAT(finished.err, HasSubstr("a validation split of 400 items was asked for; allowed: 1 to 150"));
}

}  // namespace
}  // namespace gauntlet
