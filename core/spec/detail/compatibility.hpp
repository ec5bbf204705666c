// Which axis values can meet in a cell, by what the catalog says they can do.
#pragma once

#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/spec/detail/cell_graph.hpp"

namespace gauntlet::spec::detail {

/// Collects the pairs that cannot work, each once, with the exclude line that removes it.
class Compatibility {
 public:
  explicit Compatibility(const SweepSpec& spec) : spec_(spec) {}

  /// Whether the cell can be run.
  bool check(const CellPlan& cell);
  [[nodiscard]] std::vector<Problem> take_problems() { return std::move(problems_); }

 private:
  bool check_attacked(const CellPlan& cell);
  bool check_modality(const CellPlan& cell, Axis axis, const CatalogEntry& entry);
  bool check_external_model(const CellPlan& cell);
  bool check_protocol(const CellPlan& cell);
  bool refuse(const CellPlan& cell, Axis one, Axis other, std::string_view reason);

  const SweepSpec& spec_;
  std::set<std::tuple<Axis, std::uint32_t, Axis, std::uint32_t>> refused_;
  std::vector<Problem> problems_;
};

/// {attack: eqb2a, direction: t2i}, texts quoted where YAML needs it.
[[nodiscard]] std::string exclude_line(std::string_view axis, std::string_view value,
                                       std::string_view other_axis, std::string_view other_value);

}  // namespace gauntlet::spec::detail
