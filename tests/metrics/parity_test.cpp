// Average precision over the first K relevant items, recorded from the released code of the attacks' authors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/io/safetensors.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {
namespace {

const std::filesystem::path kFixtures =
    std::filesystem::path(GAUNTLET_SOURCE_DIR) / "../shared/parity/attacks";

template <class T>
std::span<const T> values_of(const io::SafeTensors& fixture, std::string_view name) {
  return fixture.at(name).value()->as<T>().value();
}

void expect_recorded(const std::string& file) {
  if (!std::filesystem::exists(kFixtures / file)) GTEST_SKIP() << "no parity fixtures beside this checkout";
  const io::SafeTensors fixture = io::read_safetensors(kFixtures / file).value();
  const std::int64_t bits = fixture.at("in.query_codes").value()->shape.at(1);
  const std::int64_t n_labels = fixture.at("in.query_labels").value()->shape.at(1);
  const PackedCodes queries =
      PackedCodes::from_values(values_of<float>(fixture, "in.query_codes"), bits).value();
  const PackedCodes retrieval =
      PackedCodes::from_values(values_of<float>(fixture, "in.db_codes"), bits).value();
  const LabelSets query_labels =
      LabelSets::from_values(values_of<float>(fixture, "in.query_labels"), n_labels).value();
  const LabelSets labels =
      LabelSets::from_values(values_of<float>(fixture, "in.db_labels"), n_labels).value();
  const std::vector<std::string> names = {"map@5:first_relevant/stable", "map@50:first_relevant/stable",
                                          "map/stable"};
  const Result<Evaluation> evaluation = evaluate({queries, retrieval, query_labels, labels}, names, 1);
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  const std::string recorded[] = {"K5", "K50", "all"};
  for (std::size_t metric = 0; metric < 3; ++metric) {
    const std::span<const double> per_query = values_of<double>(fixture, "out.ap_" + recorded[metric]);
    EXPECT_THAT(evaluation->metrics[metric].per_query,
                testing::Pointwise(testing::DoubleNear(1e-6),
                                   std::vector<double>(per_query.begin(), per_query.end())))
        << names[metric];
    EXPECT_NEAR(evaluation->metrics[metric].value,
                values_of<double>(fixture, "out.map_" + recorded[metric])[0], 1e-6)
        << names[metric];
  }
}

TEST(Parity, FirstRelevantWithoutTies) { expect_recorded("calcmap_notie.safetensors"); }

TEST(Parity, FirstRelevantWithTiesByIndex) { expect_recorded("calcmap_ties.safetensors"); }

}  // namespace
}  // namespace gauntlet::metrics
