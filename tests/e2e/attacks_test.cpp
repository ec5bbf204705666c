// Every attack of the catalog under every protocol it claims, through the real processes, in small: the sweep
// is written from the catalog, so that a new attack is tried without a line here.

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <tuple>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

/// Whatever costs time in some attack, made small.
const std::map<std::string, int> kSmall = {{"steps", 2},
                                           {"epochs", 1},
                                           {"steps_per_epoch", 3},
                                           {"hidden", 16},
                                           {"middle", 8},
                                           {"width", 4},
                                           {"disc_width", 4},
                                           {"translator_width", 4},
                                           {"map_width", 4},
                                           {"text_map_hidden", 8},
                                           {"text_hidden", 8},
                                           {"text_disc_hidden", 8},
                                           {"iterations", 5},
                                           {"n_train", 64},
                                           {"n_queries", 40},
                                           {"prototype_epochs", 1},
                                           {"epochs_image", 1},
                                           {"epochs_text", 1},
                                           {"epochs_knockoff", 1},
                                           {"epochs_perturbation", 1},
                                           {"epochs_generator", 1},
                                           {"backbone_width", 4},
                                           {"anchors", 1},
                                           {"target_min_items", 2}};

struct Tried {
  std::string name, protocol;
  bool image = true, text = true, targeted = false, black_box = false;
  [[nodiscard]] std::string label() const { return name + " " + protocol; }
};

std::vector<Tried> attacks_of(const Json& catalog) {
  std::vector<Tried> tried;
  for (const Json& entry : catalog.at("attacks")) {
    const Json& can = entry.at("capabilities");
    const bool asks = std::ranges::any_of(entry.at("fields"),
                                          [](const Json& field) { return field.at("name") == "n_queries"; });
    Tried attack{entry.at("name"), "static", can.at("image"), can.at("text"), can.at("targeted"), asks};
    const bool is_ensemble =
        std::ranges::any_of(entry.at("fields"), [](const Json& field) { return field.at("name") == "set"; });
    if (attack.name == "none" || is_ensemble) continue;  // members of ensembles are tried as themselves
    if (attack.name == "swap") continue;                 // hands in other inputs as they are: no size
    tried.push_back(attack);
    for (const auto& [capability, protocol] : {std::pair{"adaptive", "adaptive"}, {"trains", "retrained"}}) {
      if (!can.at(capability).get<bool>()) continue;
      attack.protocol = protocol;
      tried.push_back(attack);
    }
  }
  return tried;
}

/// `saat` answers with a model of its own and `round_text` or `box_blur` changes inputs, so both kinds of
/// defense are attacked through.
std::string sweep_of(const Json& catalog, const std::vector<Tried>& attacks) {
  std::string text = R"(gauntlet: 1
name: attacks
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 2, batch_size: 64}]
  bits: [16]
  defense: [none, {name: saat, n_train: 64, at_epochs: 1, pgd_iters: 1}, box_blur, round_text]
  direction: [i2t, t2i]
  seed: [1]
  attack:
    - none
)";
  std::string excluded =
      "exclude:\n  - {defense: box_blur, direction: t2i}\n  - {defense: round_text, direction: i2t}\n";
  for (const Tried& attack : attacks) {
    const char* defenses = attack.protocol == "static"      ? "none"
                           : attack.protocol == "retrained" ? "saat"
                                                            : "[saat, box_blur, round_text]";
    std::string options;
    for (const Json& entry : catalog.at("attacks")) {
      if (entry.at("name") != attack.name) continue;
      for (const Json& field : entry.at("fields")) {
        const auto small = kSmall.find(field.at("name").get<std::string>());
        if (small != kSmall.end()) options += fmt::format(", {}: {}", small->first, small->second);
      }
    }
    text += fmt::format("    - {{name: {}, label: {}, protocol: {}, when: {{defense: {}}}{}}}\n", attack.name,
                        attack.label(), attack.protocol, defenses, options);
    if (!attack.text) excluded += fmt::format("  - {{attack: {}, direction: t2i}}\n", attack.label());
    if (!attack.image) excluded += fmt::format("  - {{attack: {}, direction: i2t}}\n", attack.label());
  }
  return text + excluded +
         "metrics: [map, t_map]\nresources:\n  train_model: {cpus: 1}\n  train_attack: {cpus: 1}\n" +
         "  train_defense: {cpus: 1}\n  craft: {cpus: 1}\n  encode: {cpus: 1}\n";
}

Json json_of(const std::vector<std::string>& command, const std::filesystem::path& folder) {
  const testing_support::Finished finished = testing_support::run(command, folder);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(Attacks, RunUnderEveryProtocolTheyClaimAndRecordTheirSizes) {
  const testing_support::TempFolder folder;
  const std::string workdir = (folder.path() / "runs").string();
  const Json catalog = json_of({kGauntlet, "catalog", "--json"}, folder.path());
  const std::vector<Tried> attacks = attacks_of(catalog);
  ASSERT_GE(attacks.size(), 15U);
  folder.write("attacks.yaml", sweep_of(catalog, attacks));
  const testing_support::Finished run = testing_support::run(
      {kGauntlet, "run", "attacks.yaml", "--workdir", workdir}, folder.path(), {}, std::chrono::seconds(600));
  ASSERT_EQ(run.exit_code, 0) << run.err;

  // One number per attack, defense, direction and metric.
  std::map<std::tuple<std::string, std::string, std::string, std::string>, double> numbers;
  const Json rows = json_of({kGauntlet, "query",
                             "SELECT DISTINCT attack, protocol, defense, direction, metric, value FROM "
                             "v_results WHERE sweep = 'attacks' AND attack <> 'none'",
                             "--workdir", workdir, "--format", "json"},
                            folder.path());
  for (const Json& row : rows.at("rows")) {
    EXPECT_THAT(row[0].get<std::string>(), ::testing::EndsWith(row[1].get<std::string>()));
    numbers[{row[0], row[2], row[3], row[4]}] = row[5].is_number() ? row[5].get<double>() : -1;
  }
  for (const Tried& attack : attacks) {
    for (const bool image : {true, false}) {
      if (image ? !attack.image : !attack.text) continue;
      const std::string direction = image ? "i2t" : "t2i";
      std::vector<std::string> defenses = {attack.protocol == "static" ? "none" : "saat"};
      if (attack.protocol == "adaptive") defenses.emplace_back(image ? "box_blur" : "round_text");
      for (const std::string& defense : defenses) {
        SCOPED_TRACE(attack.label() + " " + defense + " " + direction);
        const auto number = [&](const char* metric) -> std::optional<double> {
          const auto found = numbers.find({attack.label(), defense, direction, metric});
          if (found == numbers.end()) return std::nullopt;
          return found->second;
        };
        for (const char* size : {"perceptibility", "linf", "l2"}) {
          ASSERT_TRUE(number(size)) << size;
          EXPECT_GT(*number(size), 0) << size;
        }
        EXPECT_LE(*number("linf"), image ? 255 : 1);
        ASSERT_TRUE(number("queries_used"));
        EXPECT_EQ(*number("queries_used"), attack.black_box ? 2 * kSmall.at("n_queries") : 0);
        ASSERT_TRUE(number("map"));
        EXPECT_GE(*number("map"), 0);
        EXPECT_EQ(number("t_map").has_value(), attack.targeted);
      }
    }
  }
}

TEST(Ensembles, ReportTheWorstOfTheirMembers) {
  const testing_support::TempFolder folder;
  const std::string workdir = (folder.path() / "runs").string();
  folder.write("worst.yaml", R"(gauntlet: 1
name: worst
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 2, batch_size: 64}]
  bits: [16]
  defense: [none]
  direction: [i2t]
  seed: [1]
  attack: [none, {name: worst, set: quick}, {name: worst_targeted, set: quick}]
metrics: [map, t_map]
)");
  const testing_support::Finished run = testing_support::run(
      {kGauntlet, "run", "worst.yaml", "--workdir", workdir}, folder.path(), {}, std::chrono::seconds(600));
  ASSERT_EQ(run.exit_code, 0) << run.err;

  std::map<std::string, double> numbers;
  const Json rows = json_of(
      {kGauntlet, "query", "SELECT attack || ' ' || metric, value FROM v_results WHERE metric LIKE '%map%'",
       "--workdir", workdir, "--format", "json"},
      folder.path());
  for (const Json& row : rows.at("rows")) numbers[row[0]] = row[1];
  const std::string worst = "worst/quick@1 ", targeted = "worst_targeted/quick@1 ";
  for (const std::string& name : {worst + "map", targeted + "t_map", targeted + "t_map:clean"})
    ASSERT_TRUE(numbers.contains(name)) << name;
  EXPECT_LE(numbers[worst + "map"], numbers[worst + "map:best_single"]);
  EXPECT_LE(numbers[worst + "map:best_single"], numbers[worst + "map:clean"]);
  EXPECT_DOUBLE_EQ(numbers[worst + "map:clean"], numbers["none map"]);
  EXPECT_GE(numbers[worst + "map"], numbers[worst + "map:absolute_floor"]);
  EXPECT_GE(numbers[targeted + "t_map"], numbers[targeted + "t_map:clean"]);
}

}  // namespace
}  // namespace gauntlet
