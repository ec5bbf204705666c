// Defenses that refuse queries, through the real processes: who is refused, what that is worth.

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

class Refusals : public testing::Test {
 protected:
  /// Values by "<defense> <attack> <metric>" of a sweep that must not fail.
  std::map<std::string, double> run(const std::string& sweep) {
    folder_.write("refusals.yaml", sweep);
    const testing_support::Finished run =
        testing_support::run({kGauntlet, "run", "refusals.yaml", "--workdir", workdir()}, folder_.path(), {},
                             std::chrono::seconds(600));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    const testing_support::Finished query = testing_support::run(
        {kGauntlet, "query",
         "SELECT DISTINCT defense || ' ' || attack || ' ' || metric, value FROM v_results WHERE metric IN "
         "('map', 'chance_map', 'refused', 'refused:clean', 'refusal_area') OR metric LIKE 'map:%' OR metric "
         "LIKE "
         "'member\\_%' ESCAPE '\\'",
         "--workdir", workdir(), "--format", "json"},
        folder_.path());
    EXPECT_EQ(query.exit_code, 0) << query.err;
    std::map<std::string, double> found;
    const Json document = Json::parse(query.out);
    for (const Json& row : document.at("rows")) found[row[0]] = row[1];
    return found;
  }
  [[nodiscard]] std::string workdir() const { return (folder_.path() / "runs").string(); }

  testing_support::TempFolder folder_;
};

TEST_F(Refusals, AreMeasuredForCleanAndAttackedQueries) {
  const auto found = run(R"(gauntlet: 1
name: refusals
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 4, batch_size: 64}]
  bits: [16]
  defense:
    - none
    - {name: feature_squeezing, label: strict, threshold: 0}
    - {name: feature_squeezing, label: detector, threshold: 0.03}
    - {name: feature_squeezing, label: lax, threshold: 1}
  direction: [i2t]
  seed: [1]
  attack:
    - none
    - {name: pgd, label: static, steps: 5, epsilon_image: 16/255}
    - {name: apgd, label: blind, steps: 8, refusal_weight: 0, protocol: adaptive, epsilon_image: 16/255, when: {defense: [strict, detector, lax]}}
    - {name: apgd, label: aware, steps: 8, refusal_weight: 10, protocol: adaptive, epsilon_image: 16/255, when: {defense: [strict, detector, lax]}}
    - {name: swap, inputs: 50, when: {defense: [none, detector]}}
metrics: [map, pr]
resources: {train_model: {cpus: 1}, craft: {cpus: 1}, encode: {cpus: 1}, evaluate: {cpus: 1}}
)");
  // No query keeps its code to the last bit of it: all are refused, and nothing is found.
  EXPECT_EQ(found.at("strict none refused"), 1);
  EXPECT_EQ(found.at("strict none map"), 0);
  EXPECT_EQ(found.at("strict aware map"), 0);
  // Nobody is refused: as without a defense.
  for (const std::string attack : {"none", "static"}) {
    EXPECT_EQ(found.at("lax " + attack + " refused"), 0);
    EXPECT_EQ(found.at("lax " + attack + " map"), found.at("none " + attack + " map"));
  }
  EXPECT_GT(found.at("detector static refused"), found.at("detector static refused:clean"));
  EXPECT_EQ(found.at("detector static refused:clean"), found.at("detector none refused"));
  EXPECT_GT(found.at("detector static refusal_area"), 0.5);
  EXPECT_GE(found.at("detector blind refused"), found.at("detector aware refused"));
  EXPECT_LE(found.at("detector aware map"), found.at("detector none map"));
  EXPECT_EQ(found.count("detector swap map"), 1U);
  EXPECT_EQ(found.count("none none refused"), 0U);
}

/// The verdict of a check of one defense, and what it says.
std::string verdict_of(const Json& report, const std::string& defense, const std::string& check) {
  for (const Json& subject : report.at("subjects")) {
    if (subject.at("defense") != defense) continue;
    for (const Json& one : subject.at("checks")) {
      if (one.at("check") == check)
        return one.at("verdict").get<std::string>() + ": " + one.at("sentence").get<std::string>();
    }
  }
  return "";
}

TEST_F(Refusals, OfTheSetForThemAreTheWorstOfThreeWeights) {
  auto found = run(R"(gauntlet: 1
name: refusals
on_queries: 12
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 30, batch_size: 64}]
  bits: [16]
  defense:
    - none
    - {name: feature_squeezing, label: strict, threshold: 0}
    - {name: feature_squeezing, label: detector, threshold: 0.12}
  direction: [i2t]
  seed: [1]
  attack:
    - none
    - {name: worst, set: refuse, label: static, epsilon_image: 16/255}
    - {name: worst, set: refuse, label: adaptive, protocol: adaptive, epsilon_image: 16/255, when: {defense: [detector]}}
metrics: [map, chance_map]
resources: {train_model: {cpus: 1}, craft: {cpus: 1}, encode: {cpus: 1}, evaluate: {cpus: 1}}
)");
  const std::string worst = "detector adaptive ";
  double best = found.at("detector none map");
  for (const std::string objective : {"main", "floor", "ladv", "margin"}) {
    for (const std::string weight : {"", "-weight-0.1", "-weight-10"})
      best = std::min(best, found.at(worst + "member_map:apgd-" + objective + weight));
    EXPECT_GT(found.at(worst + "member_refused:static/apgd-" + objective), 0.3) << "nobody evades";
  }
  EXPECT_LT(best, found.at("detector none map"));
  EXPECT_LE(found.at(worst + "map:best_single"), best);
  EXPECT_LE(found.at(worst + "map"), found.at(worst + "map:best_single"));
  EXPECT_LE(found.at(worst + "map"), found.at("detector static map"));
  EXPECT_EQ(found.at(worst + "map:clean"), found.at("detector none map"));
  EXPECT_EQ(found.at(worst + "member_refused:clean"), found.at("detector none refused"));

  EXPECT_EQ(found.at("strict static map"), 0);
  EXPECT_EQ(found.at("strict static member_refused:apgd-main"), 1);
  EXPECT_EQ(found.at("strict none chance_map"), found.at("none none chance_map"));
  const testing_support::Finished verified = testing_support::run(
      {kGauntlet, "verify", "--robustness", "refusals", "--workdir", workdir(), "--json"}, folder_.path());
  EXPECT_EQ(verified.exit_code, 3) << verified.err;
  const Json report = Json::parse(verified.out);
  EXPECT_THAT(verdict_of(report, "strict", "R19"),
              testing::StartsWith("fail: Robust because it answers nobody."));
  EXPECT_THAT(verdict_of(report, "detector", "R19"), testing::Not(testing::StartsWith("fail")));
}

/// Refuses pictures with values between the grey levels, as inputs that were never saved have them.
constexpr const char* kGridDetector = R"(import array, ast, shutil, struct
with open("inputs/inputs.npy", "rb") as file:
    bytes = file.read()
length = struct.unpack("<H", bytes[8:10])[0]
n = ast.literal_eval(bytes[10:10 + length].decode())["shape"][0]
levels = array.array("f", bytes[10 + length:])
each = len(levels) // n
far = [max(abs(255 * v - round(255 * v)) for v in levels[q * each:(q + 1) * each]) for q in range(n)]
scores = array.array("f", [value - 0.01 for value in far])
header = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % n).ljust(117) + "\n"
with open("outputs/refusal_scores.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + scores.tobytes())
shutil.copy("inputs/inputs.npy", "outputs/inputs.npy")
)";

TEST_F(Refusals, OfAnExternalDetectorStopFloatsAndNoPictures) {
  folder_.write("detector.py", kGridDetector);
  folder_.write("detector.yaml",
                "gauntlet_external: 1\nkind: defense\nname: grid\ncapabilities: {text: false}\ninputs: "
                "[inputs]\nfiles: [detector.py]\ncommand: [python3, detector.py]\noutputs: [inputs.npy, "
                "refusal_scores.npy]\nrefuses: true\n");
  const auto found = run(R"(gauntlet: 1
name: refusals
external: [detector.yaml]
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 4, batch_size: 64}]
  bits: [16]
  defense: [none, grid]
  direction: [i2t]
  seed: [1]
  attack:
    - none
    - {name: apgd, label: floats, steps: 8, epsilon_image: 0.06}
    - {name: apgd, label: pixels, steps: 8, epsilon_image: 0.06, rounding: u8}
metrics: [map]
resources: {train_model: {cpus: 1}, craft: {cpus: 1}, encode: {cpus: 1}, evaluate: {cpus: 1}}
)");
  EXPECT_LT(found.at("none floats map"), found.at("none none map"));
  EXPECT_LT(found.at("none pixels map"), found.at("none none map"));
  // Whoever is refused is left with the clean query; pictures pass as if nobody looked.
  EXPECT_EQ(found.at("grid none refused"), 0);
  EXPECT_EQ(found.at("grid none map"), found.at("none none map"));
  EXPECT_EQ(found.at("grid floats refused"), 1);
  EXPECT_EQ(found.at("grid floats refused:clean"), 0);
  EXPECT_EQ(found.at("grid floats refusal_area"), 1);
  EXPECT_EQ(found.at("grid floats map"), found.at("none none map"));
  EXPECT_EQ(found.at("grid pixels refused"), 0);
  EXPECT_EQ(found.at("grid pixels map"), found.at("none pixels map"));
}

}  // namespace
}  // namespace gauntlet
