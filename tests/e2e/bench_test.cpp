// `gauntlet bench methods`: every registered method is measured, with the machine it ran on.
#include <gmock/gmock.h>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

Json run_json(const std::vector<std::string>& command, const std::filesystem::path& folder) {
  const testing_support::Finished finished =
      testing_support::run(command, folder, {}, std::chrono::seconds(600));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(BenchMethods, MeasuresEveryEntryOfTheCatalog) {
  const testing_support::TempFolder folder;
  const std::string gauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";
  const Json bench =
      run_json({gauntlet, "bench", "methods", "--quick", "--json", "--workdir", folder.path().string()},
               folder.path());
  ASSERT_TRUE(bench.is_object());
  EXPECT_EQ(bench.at("format"), 1);
  EXPECT_EQ(bench.at("bench"), "methods");
  for (const char* fact : {"cpu", "cores", "features", "filesystem", "fdatasync_us"}) {
    EXPECT_TRUE(bench.at("machine").contains(fact)) << fact;
  }
  const Json& figures = bench.at("figures");
  for (const auto& [name, value] : figures.items()) {
    EXPECT_TRUE(value.is_number() && value.get<double>() > 0) << name << " is " << value;
  }
  const Json catalog = run_json({gauntlet, "catalog", "--json"}, folder.path());
  for (const char* kind : {"models", "attacks", "defenses"}) {
    for (const Json& entry : catalog.at(kind)) {
      const auto name = entry.at("name").get<std::string>();
      if (std::string_view(kind) == "attacks" && name == "none") continue;
      if (name.starts_with("worst")) continue;  // ensembles: their members are measured
      if (name == "swap") continue;             // chosen among codes: there is nothing to craft
      if (name == "torchscript") continue;      // somebody's file: there is none to measure
      const bool measured = std::ranges::any_of(figures.items(), [&](const auto& figure) {
        return figure.key().find("_" + name + "_") != std::string::npos;
      });
      EXPECT_TRUE(measured) << name;
    }
  }
  EXPECT_TRUE(figures.contains("craft_pgd_image_ratio"));
}

}  // namespace
}  // namespace gauntlet
