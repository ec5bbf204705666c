// What a job reports besides its artifact: numbers and curves. Where they belong (sweep, cell, attempt,
// machine) is added by the coordinator, which knows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gauntlet::spec {

/// One measured number. `metric` is its identity: "map", "map@50:first_relevant", "t_map", "map/stable".
struct ResultRow {
  std::string metric;
  double value = 0;
  std::string unit = "ratio";  ///< "ratio" (in [0,1]), "s", "count", "bytes", "grey_levels", "rows/s", …
  bool higher_is_better = true;
  std::int64_t n = 0;                 ///< what it averages over (queries, inputs); 1 for single readings
  std::vector<float> per_query = {};  ///< empty, or one value per query in the order of the query set
};

/// One curve, e.g. pr: x = recall, y = precision; or loss: x = step, y = value.
struct Curve {
  std::string name;  ///< "pr:radius_micro", "loss:total"
  std::string x_label;
  std::string y_label;
  std::vector<float> x;
  std::vector<float> y;
};

}  // namespace gauntlet::spec
