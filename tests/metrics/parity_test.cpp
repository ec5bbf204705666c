// Average precision over the first K relevant items, recorded from the released code of the attacks' authors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/safetensors.hpp"
#include "core/metrics/evaluate.hpp"
#include "tests/support/parity_folder.hpp"

namespace gauntlet::metrics {
namespace {

template <class T>
std::span<const T> values_of(const io::SafeTensors& fixture, std::string_view name) {
  return fixture.at(name).value()->as<T>().value();
}

void expect_recorded(const std::string& file) {
  const auto read = io::read_safetensors(testing::parity_folder() / "attacks" / file);
  ASSERT_TRUE(read) << read.error().message;
  const io::SafeTensors& fixture = *read;
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
  // out.map_K5 is the mean over the first 5 relevant items, out.map_all over every relevant one.
  constexpr std::string_view kPrefix = "out.map_";
  std::vector<std::string> recorded, names;
  for (const auto& [key, view] : fixture.tensors) {
    if (!key.starts_with(kPrefix)) continue;
    recorded.push_back(key.substr(kPrefix.size()));
    names.push_back(recorded.back() == "all" ? "map/stable"
                                             : "map@" + recorded.back().substr(1) + ":first_relevant/stable");
  }
  ASSERT_GE(names.size(), 2U);
  const Result<Evaluation> evaluation = evaluate({queries, retrieval, query_labels, labels}, names, 1);
  ASSERT_TRUE(evaluation) << evaluation.error().message;
  for (std::size_t metric = 0; metric < names.size(); ++metric) {
    const std::span<const double> per_query = values_of<double>(fixture, "out.ap_" + recorded[metric]);
    EXPECT_THAT(evaluation->metrics[metric].per_query,
                ::testing::Pointwise(::testing::DoubleNear(1e-6),
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
