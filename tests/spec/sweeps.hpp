// What the tests of sweeps share: the catalog of tests/golden/spec, and short ways from text to an expansion.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/files.hpp"
#include "core/spec/expand.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec {

inline const std::filesystem::path kGoldenFolder =
    std::filesystem::path(GAUNTLET_SOURCE_DIR) / "tests/golden/spec";

inline const Catalog& test_catalog() {
  static const Catalog catalog = [] {
    const auto text = read_file(kGoldenFolder / "catalog.json");
    EXPECT_TRUE(text.has_value());
    const auto document = parse_json(*text, "catalog.json");
    EXPECT_TRUE(document.has_value());
    auto read = Catalog::from_json(*document);
    EXPECT_TRUE(read.has_value()) << read.error().message;
    return std::move(*read);
  }();
  return catalog;
}

/// An identity per dataset and config, none for the dataset "mscoco" in a folder called "missing".
inline Result<std::string> fake_content_id(std::string_view dataset, const Json& config,
                                           const Json& locations) {
  if (locations.value("root", "") == "missing")
    return fail(ErrorCode::kNotFound, "there is no folder 'missing'");
  return fmt::format("id of {} {}", dataset, config.dump());
}

/// Every problem as its text, "line:column: message".
inline std::vector<std::string> texts(const std::vector<Problem>& problems) {
  std::vector<std::string> all;
  for (const Problem& problem : problems)
    all.push_back(fmt::format("{}:{}: {}", problem.line, problem.column, problem.message));
  return all;
}

inline std::vector<std::string> parse_problems(std::string_view text) {
  return texts(parse_sweep(text, "test.yaml", test_catalog()).problems);
}

inline SweepSpec parsed(std::string_view text) {
  ParsedSweep sweep = parse_sweep(text, "test.yaml", test_catalog());
  EXPECT_THAT(texts(sweep.problems), testing::IsEmpty());
  return sweep.spec ? std::move(*sweep.spec) : SweepSpec();
}

inline Expansion expanded(std::string_view text, const Catalog& catalog = test_catalog()) {
  auto expansion = expand(parsed(text), catalog, &fake_content_id);
  if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
  return expansion ? std::move(*expansion) : Expansion();
}

inline std::vector<std::string> expand_problems(std::string_view text) {
  const auto expansion = expand(parsed(text), test_catalog(), &fake_content_id);
  return expansion ? std::vector<std::string>() : texts(expansion.error());
}

inline std::set<JobKey> keys_of(const Expansion& expansion) {
  std::set<JobKey> keys;
  for (std::size_t index = 0; index < expansion.jobs.size(); ++index) keys.insert(expansion.jobs.key(index));
  return keys;
}

/// The job that plays `role` for a cell; a test that asks for one that is not there fails.
inline PlannedJob job_of(const Expansion& expansion, const PlannedCell& cell, std::string_view role) {
  for (const CellJob& part : cell.jobs) {
    if (part.role == role) return expansion.jobs[part.job];
  }
  ADD_FAILURE() << "the cell has no job " << role;
  return {};
}

/// A sweep of one cell: cpah on picto_scenes at 32 bits, with `axes` replacing or adding axis lines and
/// `more` at the end.
inline std::string one_cell(std::string_view defense = "none", std::string_view attack = "none",
                            std::string_view more = "", std::string_view direction = "i2t") {
  return fmt::format(
      "gauntlet: 1\nname: one\naxes:\n  dataset: picto_scenes\n  model: cpah\n  bits: 32\n  defense: {}\n  "
      "attack: {}\n"
      "  direction: {}\n  seed: 1\nmetrics: [map, t_map]\n{}",
      defense, attack, direction, more);
}

}  // namespace gauntlet::spec
