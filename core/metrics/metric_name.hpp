// Names of metrics: base[@K][:kind][/ties], e.g. map, map@50:first_relevant, map/stable, precision@100,
// pr:radius_macro.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::metrics {

/// What happens among items of equal distance.
enum class Ties : std::uint8_t {
  kExpected,  ///< mean over all orders, in closed form; independent of the order of the files
  kStable,    ///< smaller retrieval index first
  kBest,      ///< relevant items first
  kWorst,     ///< relevant items last
};
[[nodiscard]] std::string_view name_of(Ties ties);  // "expected", "stable", "best", "worst"
[[nodiscard]] Result<Ties> ties_from(std::string_view name);

struct MetricName {
  std::string base;
  std::int64_t at = 0;  ///< K of "@K"; 0 when absent
  std::string kind;     ///< "" when absent
  Ties ties = Ties::kExpected;

  /// Reads a name; "/expected" is the same as nothing. Errors (kInvalid): the name, what is wrong with it.
  [[nodiscard]] static Result<MetricName> parse(std::string_view text);
  /// The identity used in rows: shortest form of the same name.
  [[nodiscard]] std::string text() const;
  bool operator==(const MetricName&) const = default;
};

}  // namespace gauntlet::metrics
