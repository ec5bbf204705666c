// Two sides, place by place: means over the seeds that both have, the difference, whether it is more than
// chance, and which settings of the jobs behind it differ. Thread safety: pure functions of their sides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "results/compare/side.hpp"

namespace gauntlet::results {

/// A setting that is not the same on both sides: of the job with this role, at this place of its config.
struct ConfigDifference {
  std::string role;  ///< "train_defense"; "run" for where and by which code equal jobs ran
  std::string path;  ///< "lr", "entry", "version", …; "" = one side has no such job
  std::string a;     ///< canonical JSON; "" = not there
  std::string b;
  std::size_t n_places = 0;  ///< places it may explain
};

enum class Pairing : std::uint8_t { kNone, kQueries, kSeeds };

struct ComparedPlace {
  Place place;
  std::string unit;
  bool higher_is_better = true;
  double a = 0;  ///< means over the seeds in use
  double b = 0;
  std::size_t n_seeds = 0;  ///< that both sides have; all of the database's against a reference file
  Pairing pairing = Pairing::kNone;
  std::size_t n_pairs = 0;
  std::optional<double> p;       ///< two-sided, paired permutation test; nothing without pairs
  std::optional<double> p_holm;  ///< corrected over all places
  std::vector<std::size_t> why;  ///< indices into Comparison::differences

  [[nodiscard]] double difference() const { return b - a; }
};

struct Comparison {
  std::string a;
  std::string b;
  std::vector<ComparedPlace> places;          ///< the largest difference first; ratios before other units
  std::vector<ConfigDifference> differences;  ///< those of the most places first
  std::vector<Place> only_a;
  std::vector<Place> only_b;
};

/// Errors: kInvalid (several cells of one side belong to one line of a reference file, both named; a metric
/// with different units), those of reading.
[[nodiscard]] Result<Comparison> compare(const Side& a, const Side& b);

/// For terminals; at most `limit` places (0 = all) and as many unmatched ones. Ends with a line break.
[[nodiscard]] std::string text_of(const Comparison& comparison, std::size_t limit);
/// {"format":1,"a","b","places":[…],"differences":[…],"only_a":[…],"only_b":[…]}
[[nodiscard]] Json to_json(const Comparison& comparison);

}  // namespace gauntlet::results
