#include "core/spec/swap.hpp"

namespace gauntlet::spec {

CatalogEntry swap_entry() {
  CatalogEntry entry;
  entry.name = kSwapAttack;
  entry.summary = "Level: for every query the training input that retrieves least of it, handed in instead";
  entry.reference = "docs/robustness.md";
  entry.fields.push_back(
      {"inputs",
       FieldType::kInteger,
       1000,
       1,
       1'000'000,
       {},
       "Training inputs that are tried, drawn from the cell's seed; all where there are fewer."});
  return entry;
}

}  // namespace gauntlet::spec
