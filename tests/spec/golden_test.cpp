// Every tests/golden/spec/*.yaml beside what it must become: its cells and jobs, or its problems.
// UPDATE_GOLDEN=1 writes the expected files anew; look at the difference before committing it.

#include <cstdlib>
#include <map>

#include "core/base/text.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

namespace fs = std::filesystem;

std::string cell_text(const Expansion& expansion, const PlannedCell& planned) {
  const Cell& cell = planned.cell;
  std::string text =
      fmt::format("{} | {} | {} | {} | {} ({}) | {} | seed {}", cell.dataset, cell.model, cell.bits,
                  cell.defense, cell.attack, cell.protocol, cell.direction, cell.seed);
  if (!cell.variant.empty()) text += fmt::format(" | {}", cell.variant);
  text += "\n   metrics";
  for (const std::string& metric : planned.metrics) text += " " + metric;
  text += "\n   jobs";
  for (const CellJob& part : planned.jobs)
    text += fmt::format(" {}={}", part.role, expansion.jobs[part.job].key.brief());
  return text + "\n";
}

std::string render(const Expansion& expansion) {
  constexpr std::size_t kMaxShown = 24;  // of noop sweeps, which are all alike
  std::string text = count_of(expansion.cells.size(), "cell") + "\n";
  for (const PlannedCell& cell : expansion.cells) text += cell_text(expansion, cell);
  std::map<std::string, std::size_t> by_kind;
  for (const PlannedJob& planned : expansion.jobs) ++by_kind[std::string(name_of(planned.job.kind))];
  text += "\n" + count_of(expansion.jobs.size(), "job") + "\n";
  for (const auto& [kind, n] : by_kind) text += fmt::format("  {} {}\n", kind, n);
  std::size_t n_shown = 0;
  for (const PlannedJob& planned : expansion.jobs) {
    if (expansion.cells.empty() && ++n_shown > kMaxShown) break;
    text += fmt::format("{} {}\n   {}\n", planned.key.hex(), planned.job.title,
                        canonical_form(planned.job).dump());
    if (!planned.job.locations.empty())
      text += fmt::format("   locations {}\n", planned.job.locations.dump());
  }
  return text;
}

std::string outcome_of(const std::string& text, const std::string& file) {
  const auto listed = [&](const std::vector<Problem>& problems) {
    std::string all;
    for (const Problem& problem : problems) all += to_text(problem, file) + "\n";
    return all;
  };
  const ParsedSweep sweep = parse_sweep(text, file, test_catalog());
  if (!sweep.spec) return listed(sweep.problems);
  const auto expansion = expand(*sweep.spec, test_catalog(), &fake_content_id);
  return expansion ? render(*expansion) : listed(expansion.error());
}

class GoldenSweep : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSweep, BecomesWhatItsFileSays) {
  const fs::path path = kGoldenFolder / (GetParam() + ".yaml");
  const auto text = read_file(path);
  ASSERT_TRUE(text) << text.error().message;
  const std::string outcome = outcome_of(*text, path.filename().string());
  const fs::path expected_path = kGoldenFolder / (GetParam() + ".expected");
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(expected_path, outcome));
  }
  const auto expected = read_file(expected_path);
  ASSERT_TRUE(expected) << expected.error().message;
  EXPECT_EQ(outcome, *expected);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldenFolder)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenSweep, testing::ValuesIn(golden_names()),
                         [](const auto& each) { return each.param; });

TEST(GoldenSweeps, EveryKeyIsTheHashOfItsCanonicalForm) {
  for (const std::string& name : golden_names()) {
    const auto text = read_file(kGoldenFolder / (name + ".yaml"));
    ASSERT_TRUE(text);
    const ParsedSweep sweep = parse_sweep(*text, name, test_catalog());
    if (!sweep.spec) continue;
    const auto expansion = expand(*sweep.spec, test_catalog(), &fake_content_id);
    if (!expansion) continue;
    std::set<JobKey> seen;
    for (const PlannedJob& planned : expansion->jobs) {
      EXPECT_EQ(planned.key.hex(), key_of(planned.job).value().hex()) << planned.job.title;
      for (const JobInput& input : planned.job.inputs)
        EXPECT_TRUE(seen.contains(input.key)) << planned.job.title;
      EXPECT_TRUE(seen.insert(planned.key).second) << planned.job.title << " is there twice";
      const auto back = job_from_canonical(canonical_form(planned.job));
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(key_of(*back).value().hex(), planned.key.hex());
    }
  }
}

/// The sweeps people start from, with the catalog they will be run with.
TEST(ShippedSweeps, AreReadableWithTheBuiltInCatalog) {
  for (const auto& entry : fs::directory_iterator(fs::path(GAUNTLET_SOURCE_DIR) / "sweeps")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto text = read_file(entry.path());
    ASSERT_TRUE(text) << text.error().message;
    const ParsedSweep sweep = parse_sweep(*text, entry.path().string(), Catalog::builtin());
    EXPECT_THAT(texts(sweep.problems), testing::IsEmpty()) << entry.path();
    if (!sweep.spec) continue;
    const auto expansion = expand(*sweep.spec, Catalog::builtin(), &fake_content_id);
    if (!expansion) ADD_FAILURE() << entry.path() << testing::PrintToString(texts(expansion.error()));
    for (const std::string& table : sweep.spec->tables) {
      EXPECT_TRUE(fs::exists(fs::path(GAUNTLET_SOURCE_DIR) / table)) << table;
    }
  }
}

TEST(GoldenSweeps, TheDocumentedExampleIsOneOfThem) {
  const auto page = read_file(fs::path(GAUNTLET_SOURCE_DIR) / "docs/sweeps.md");
  const auto golden = read_file(kGoldenFolder / "documented.yaml");
  ASSERT_TRUE(page && golden);
  const std::string_view opening = "```yaml\n";
  const std::size_t begin = page->find(opening) + opening.size();
  const std::string example = page->substr(begin, page->find("```", begin) - begin);
  EXPECT_EQ(golden->substr(golden->find('\n') + 1), example);
}

}  // namespace
}  // namespace gauntlet::spec
