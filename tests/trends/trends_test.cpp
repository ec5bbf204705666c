// What the literature leads one to expect, measured on emoji scenes with fixed seeds: models above chance,
// attacks that harm, defenses that help, loss terms that matter. Every number is printed.
// GAUNTLET_TRENDS_WORKDIR keeps the runs' work folder.

#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <tuple>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;

constexpr auto kRunLimit = std::chrono::hours(2);
const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

/// A number's place: defense, attack, direction, variant.
using Place = std::tuple<std::string, std::string, std::string, std::string>;

/// The numbers of one sweep, means over its seeds, by model and metric.
class Numbers {
 public:
  explicit Numbers(const std::string& sweep) {
    const char* kept = std::getenv("GAUNTLET_TRENDS_WORKDIR");
    const fs::path workdir = kept != nullptr ? fs::path(kept) : folder_.path() / "runs";
    const testing_support::Finished run =
        testing_support::run({kGauntlet, "run", "sweeps/" + sweep + ".yaml", "--workdir", workdir.string()},
                             GAUNTLET_SOURCE_DIR, {}, kRunLimit);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    std::printf("%s\n", run.out.c_str());
    const testing_support::Finished query = testing_support::run(
        {kGauntlet, "query",
         "SELECT model, metric, defense, attack, direction, variant, avg(value) FROM "
         "(SELECT DISTINCT model, metric, defense, attack, direction, variant, seed, value "
         "FROM v_results WHERE sweep = '" +
             sweep +
             "' AND metric IN ('map', 't_map', 'chance_map', 'chance_t_map')) GROUP BY 1, 2, "
             "3, 4, 5, 6",
         "--workdir", workdir.string(), "--format", "json"},
        GAUNTLET_SOURCE_DIR);
    EXPECT_EQ(query.exit_code, 0) << query.err;
    if (query.exit_code != 0) return;
    const Json document = Json::parse(query.out);
    for (const Json& row : document.at("rows")) {
      const Place place{row[2], row[3], row[4], row[5]};
      values_[{row[0], row[1]}][place] = row[6].is_number() ? row[6].get<double>() : 0;
      models_.insert(row[0].get<std::string>());
    }
  }

  [[nodiscard]] const std::set<std::string>& models() const { return models_; }
  [[nodiscard]] const std::map<Place, double>& of(const std::string& model, const std::string& metric) const {
    static const std::map<Place, double> nothing;
    const auto found = values_.find({model, metric});
    return found == values_.end() ? nothing : found->second;
  }
  /// NaN, and a failure, when the sweep has no such number.
  [[nodiscard]] double at(const std::string& model, const std::string& metric, const Place& place) const {
    const auto found = of(model, metric).find(place);
    const bool is_there = found != of(model, metric).end();
    EXPECT_TRUE(is_there) << metric << " of " << model << " " << std::get<0>(place) << " "
                          << std::get<1>(place) << " " << std::get<2>(place);
    return is_there ? found->second : std::numeric_limits<double>::quiet_NaN();
  }

 private:
  testing_support::TempFolder folder_;
  std::map<std::pair<std::string, std::string>, std::map<Place, double>> values_;
  std::set<std::string> models_;
};

/// Each sweep runs once per test program.
const Numbers& numbers_of(const std::string& sweep) {
  static std::map<std::string, std::unique_ptr<Numbers>> known;
  auto& numbers = known[sweep];
  if (!numbers) numbers = std::make_unique<Numbers>(sweep);
  return *numbers;
}

constexpr double kClearlyAbove = 0.05;  // five times the standard error over 300 queries
constexpr double kVisibly = 0.01;

TEST(Trends, EveryModelIsClearlyAboveChance) {
  const Numbers& numbers = numbers_of("picto-models");
  EXPECT_GE(numbers.models().size(), 7U);
  for (const std::string& model : numbers.models()) {
    for (const std::string direction : {"i2t", "t2i"}) {
      const Place clean{"none", "none", direction, ""};
      const double map = numbers.at(model, "map", clean), chance = numbers.at(model, "chance_map", clean);
      std::printf("%-8s %s clean %.3f chance %.3f\n", model.c_str(), direction.c_str(), map, chance);
      EXPECT_GT(map, chance + kClearlyAbove) << model << " " << direction;
    }
  }
}

TEST(Trends, EveryAttackHarmsTheUndefendedModel) {
  const Numbers& numbers = numbers_of("picto-attacks");
  for (const std::string& model : numbers.models()) {
    for (const auto& [place, map] : numbers.of(model, "map")) {
      const auto& [defense, attack, direction, variant] = place;
      if (defense != "none" || attack == "none") continue;
      const double clean = numbers.at(model, "map", {"none", "none", direction, ""});
      const auto& targeted = numbers.of(model, "t_map");
      const auto t_map = targeted.find(place);
      const bool aims = t_map != targeted.end();
      std::printf("%-8s %-10s %s clean %.3f attacked %.3f%s\n", model.c_str(), attack.c_str(),
                  direction.c_str(), clean, map,
                  aims ? fmt::format(" t-MAP {:.3f}", t_map->second).c_str() : "");
      const double chance = numbers.at(model, "chance_map", {"none", "none", direction, ""});
      const bool harms = map < clean - kVisibly || (aims && t_map->second > chance + kClearlyAbove);
      EXPECT_TRUE(harms) << model << " " << attack << " " << direction;
    }
  }
}

TEST(Trends, EveryDefenseRecoversPartOfWhatAnAttackTakes) {
  const Numbers& numbers = numbers_of("picto-attacks");
  for (const std::string& model : numbers.models()) {
    for (const auto& [place, map] : numbers.of(model, "map")) {
      const auto& [defense, attack, direction, variant] = place;
      if (defense == "none" || attack != "PGD") continue;
      const double bare = numbers.at(model, "map", {"none", attack, direction, ""});
      const double clean = numbers.at(model, "map", {"none", "none", direction, ""});
      const double benign = numbers.at(model, "map", {defense, "none", direction, ""});
      std::printf("%-8s %-8s %s under PGD %.3f (undefended %.3f), benign %.3f (undefended %.3f)\n",
                  model.c_str(), defense.c_str(), direction.c_str(), map, bare, benign, clean);
      EXPECT_GT(map, bare + kVisibly) << model << " " << defense << " " << direction;
    }
  }
}

TEST(Trends, AlignmentAndReconstructionMatterToDrfgd) {
  const Numbers& numbers = numbers_of("picto-table4");
  for (const auto& [place, map] : numbers.of("cpah", "map")) {
    const auto& [defense, attack, direction, variant] = place;
    if (defense == "drfgd") {
      std::printf("%-24s %-8s %s %.3f\n", variant.empty() ? "full" : variant.c_str(), attack.c_str(),
                  direction.c_str(), map);
    }
  }
  // Of text queries the differences (docs/drfgd.md) are smaller than the spread between seeds: no trend to
  // hold.
  const double full = numbers.at("cpah", "map", {"drfgd", "ta_dch", "i2t", ""});
  for (const std::string term : {"w/o L_Ali", "w/o L_Rec"}) {
    EXPECT_LT(numbers.at("cpah", "map", {"drfgd", "ta_dch", "i2t", "drfgd/" + term}), full - kVisibly)
        << term;
  }
}

}  // namespace
}  // namespace gauntlet
