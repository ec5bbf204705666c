// Damaged sweep files are answered with problems or planned; nothing else may happen.

#include "core/base/random.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

/// Replaces, removes, repeats or inserts a few pieces of the text.
std::string damaged(std::string text, RandomStream random) {
  static constexpr std::string_view kPieces[] = {"[",  "]",    "{",   "}",        ": ",   ", ",   "\n", "  ",
                                                 "- ", "&a ",  "*a",  "\"",       "1/0",  "none", "-1", "nan",
                                                 "~",  "null", "i2t", "\xC3\xA9", "\xFF", "<<: "};
  const std::uint32_t n_changes = 1 + random.below(4);
  for (std::uint32_t change = 0; change < n_changes && !text.empty(); ++change) {
    const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
    const std::size_t length = random.below(12);
    switch (random.below(4)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, text.substr(random.below(static_cast<std::uint32_t>(text.size())), length));
        break;
      case 2:
        text.insert(at, kPieces[random.below(std::size(kPieces))]);
        break;
      default:
        text.replace(at, length, kPieces[random.below(std::size(kPieces))]);
        break;
    }
  }
  return text;
}

TEST(DamagedSweeps, AreRefusedWithPlacesOrPlanned) {
  constexpr std::uint64_t kRounds = 400;
  std::size_t n_refused = 0;
  std::size_t n_planned = 0;
  for (const char* name : {"quickstart", "product_example", "robust_models", "zip_and_when", "documented"}) {
    const auto text = read_file(kGoldenFolder / fmt::format("{}.yaml", name));
    ASSERT_TRUE(text);
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const std::string sample = damaged(*text, RandomStream::of(1, text->size(), round));
      const ParsedSweep sweep = parse_sweep(sample, name, test_catalog());
      EXPECT_EQ(sweep.spec.has_value(), sweep.problems.empty());
      for (const Problem& problem : sweep.problems) EXPECT_GE(problem.line, 1) << problem.message;
      if (!sweep.spec) {
        ++n_refused;
        continue;
      }
      const auto expansion = expand(*sweep.spec, test_catalog(), &fake_content_id);
      if (expansion) {
        ++n_planned;
      } else {
        EXPECT_FALSE(expansion.error().empty());
      }
    }
  }
  EXPECT_GT(n_refused, 0U);
  EXPECT_GT(n_planned, 0U);
}

}  // namespace
}  // namespace gauntlet::spec
