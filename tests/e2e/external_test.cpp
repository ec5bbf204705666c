// External entries through the real processes: the NumPy example, a defense and a metric in shell, beside
// built-in entries in one sweep.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";
const fs::path kExamples = fs::path(GAUNTLET_SOURCE_DIR) / "examples";
const std::string kEnvironment = GAUNTLET_SOURCE_DIR "/.deps/examples";  ///< ./dev test makes it
const std::string kPython = kEnvironment + "/bin/python3";

class ExternalSweep : public testing::Test {
 protected:
  [[nodiscard]] testing_support::Finished gauntlet(std::vector<std::string> words) const {
    words.insert(words.begin(), kGauntlet);
    // Debian's Python has Debian's NumPy; another one may come first in a person's PATH.
    return testing_support::run(words, folder_.path(), {{"PATH", "/usr/bin:/bin"}},
                                std::chrono::seconds(300));
  }
  static bool has_numpy() {
    return testing_support::run({"/usr/bin/python3", "-c", "import numpy"}, "/").exit_code == 0;
  }
  /// By "<attack>/<defense>".
  [[nodiscard]] std::map<std::string, double> numbers(const std::string& metric) const {
    const auto query =
        gauntlet({"query", "--format", "json",
                  "SELECT attack, defense, value FROM v_results WHERE metric = '" + metric + "'"});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    std::map<std::string, double> values;
    const Json document = Json::parse(query.out);
    for (const Json& row : document.at("rows"))
      values[row[0].get<std::string>() + "/" + row[1].get<std::string>()] = row[2];
    return values;
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }

  testing_support::TempFolder folder_;
};

TEST_F(ExternalSweep, StandsBesideBuiltInEntries) {
  if (!has_numpy()) GTEST_SKIP() << "/usr/bin/python3 has no numpy (Debian: python3-numpy)";
  write(
      "shell_defense.yaml",
      "gauntlet_external: 1\nkind: defense\nname: as_it_was\ncapabilities: {text: false}\ninputs: [inputs]\n"
      "command: [cp, inputs/inputs.npy, outputs/inputs.npy]\noutputs: [inputs.npy]\n");
  write("shell_metric.yaml",
        "gauntlet_external: 1\nkind: metric\nname: n_codes\nunit: count\ninputs: [codes]\noutputs: "
        "[rows.json]\n"
        "command: [sh, -c, 'n=$(head -c 118 inputs/query_rows.npy | grep -ao \"([0-9]*\" | tr -d \"(\"); "
        "echo \"[{\\\"metric\\\": \\\"n_codes\\\", \\\"value\\\": $n}]\" > outputs/rows.json']\n");
  write("sweep.yaml", "gauntlet: 1\nname: external\nexternal: [" +
                          (kExamples / "numpy_attack/attack.yaml").string() +
                          ", shell_defense.yaml, shell_metric.yaml]\n" + R"(axes:
  dataset: {name: picto_scenes, preset: smoke}
  model: {name: cpah, backbone_width: 8, hidden: 32, epochs: 2, batch_size: 64}
  bits: 16
  defense: [none, as_it_was]
  attack: [none, {name: pgd, steps: 2}, numpy_blend]
  direction: i2t
  seed: 1
metrics: [map, n_codes]
)");
  const auto run = gauntlet({"run", "sweep.yaml"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::map<std::string, double> map = numbers("map"), n_codes = numbers("n_codes");
  for (const char* attack : {"none", "pgd", "numpy_blend"}) {
    const std::string cell = attack;
    ASSERT_TRUE(map.contains(cell + "/none")) << cell;
    // A defense that changes nothing changes no number.
    EXPECT_EQ(map.at(cell + "/none"), map.at(cell + "/as_it_was"));
    EXPECT_GT(n_codes.at(cell + "/none"), 1);
  }
  const double linf = numbers("linf").at("numpy_blend/none");
  EXPECT_LE(linf, 8.001);
  EXPECT_GT(linf, 7.9);
  EXPECT_TRUE(numbers("numpy_blend:without_candidate").contains("numpy_blend/none"));

  const auto again = gauntlet({"plan", "sweep.yaml", "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(Json::parse(again.out).at("jobs").at("new"), 0) << again.out;
}

TEST_F(ExternalSweep, TheExamplesKeepTheirPromises) {
  if (!has_numpy()) GTEST_SKIP() << "/usr/bin/python3 has no numpy (Debian: python3-numpy)";
  const auto attack = gauntlet({"verify", "--external", (kExamples / "numpy_attack").string()});
  EXPECT_EQ(attack.exit_code, 0) << attack.out << attack.err;
  EXPECT_THAT(attack.out, HasSubstr("ok     craft image: repeatable"));
}

TEST_F(ExternalSweep, TheExamplesInPyTorchRunInAnEnvironmentOfTheirOwn) {
  const testing_support::Finished imported =
      testing_support::run({kPython, "-c", "import torch, numpy, safetensors"}, "/");
  if (imported.exit_code != 0)
    GTEST_SKIP() << kEnvironment << " has no PyTorch (./dev test makes it): " << imported.err;
  fs::copy(kExamples / "torch_defense", folder_ / "torch_defense");
  std::ofstream(folder_ / "torch_defense/defense.yaml", std::ios::app) << "venv: " << kEnvironment << "\n";
  const auto verified = gauntlet({"verify", "--external", "torch_defense"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("ok     purify image: repeatable"));

  const testing_support::Finished exported = testing_support::run(
      {kPython, (kExamples / "torchscript_target/export.py").string(), "--bits", "16", "--text-dim",
       "985",  // words of picto_scenes
       "--out", "model.pt"},
      folder_.path());
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  write("sweep.yaml", R"(gauntlet: 1
name: pytorch
external: [torch_defense/defense.yaml]
axes:
  dataset: {name: picto_scenes, preset: smoke}
  model: {name: torchscript, path: model.pt}
  bits: 16
  defense: [none, {name: torch_denoiser, epochs: 1, width: 4}]
  attack: [none, {name: pgd, steps: 5}]
  direction: i2t
metrics: [map]
)");
  const auto run = gauntlet({"run", "sweep.yaml"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const std::map<std::string, double> map = numbers("map");
  ASSERT_THAT(map, SizeIs(4));
  EXPECT_NE(map.at("pgd/none"), map.at("none/none")) << "an attack that follows the file's own gradients";
  EXPECT_NE(map.at("none/torch_denoiser"), map.at("none/none"));
  EXPECT_NE(map.at("pgd/torch_denoiser"), map.at("pgd/none"));
  EXPECT_NEAR(numbers("linf").at("pgd/none"), 4, 0.001) << "grey levels, what pgd takes unless told";
}

}  // namespace
}  // namespace gauntlet
