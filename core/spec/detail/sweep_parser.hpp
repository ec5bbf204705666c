// Reads one sweep file; every section reports its own problems, so that one run shows them all.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "core/spec/detail/axis_reader.hpp"
#include "core/spec/detail/reading.hpp"
#include "core/spec/detail/section_readers.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec::detail {

inline constexpr std::array kAllAxes = {Axis::kDataset, Axis::kModel,     Axis::kBits, Axis::kDefense,
                                        Axis::kAttack,  Axis::kDirection, Axis::kSeed};

/// Used once per file.
class SweepParser {
 public:
  SweepParser(std::string_view file, const Catalog& catalog, const MetricCheck& check_metric)
      : catalog_(catalog), check_metric_(check_metric), axes_(catalog, spec_, report_) {
    spec_.file = file;
  }

  ParsedSweep parse(std::string_view text);

 private:
  void read_top(const YamlNode& root);
  void read_head(const YamlNode& root);
  void read_cells(const YamlNode& root);
  void read_axes(const YamlNode& node);
  void read_axis(Axis axis, const YamlNode& node);
  void read_zip(const YamlNode& node);
  std::vector<Axis> read_zip_group(const YamlNode& group);
  void build_product();
  void read_include(const YamlNode& node);
  PointSet read_include_cell(const YamlNode& cell);
  void read_settings(const YamlNode& node);
  void read_ablations(const YamlNode& node);
  void read_ablation(const YamlNode& node);
  void read_explain(const YamlNode& node);
  PointSet read_base(const YamlNode& node, std::string_view what);
  void restrict_dimension(Dimension& dimension, std::size_t column, const YamlNode& wanted,
                          std::string_view what);
  // select_reader.cpp
  void read_select(const YamlNode& node);
  void read_selection(const YamlNode& node);
  void read_tried(const YamlNode& node, Selection& selection);
  void read_by(const YamlNode& node, Selection& selection);
  void read_measured_attacks(const YamlNode* node, Selection& selection);
  [[nodiscard]] std::vector<std::uint32_t> read_values(Axis axis, const YamlNode* node);
  void read_per(const YamlNode* node, Selection& selection);
  void read_validation(const YamlNode& node, Selection& selection);
  void check_tried(const Selection& selection, const YamlNode& node);
  [[nodiscard]] std::uint32_t value_of_none(Axis axis);
  void check_selections();
  void check_settings();
  void check_variants();
  void check_size();
  std::vector<const CatalogEntry*> candidates_for(Axis axis, const Selector& match) const;

  const Catalog& catalog_;
  const MetricCheck& check_metric_;
  SweepSpec spec_;
  Report report_;
  AxisReader axes_;
  std::array<std::uint32_t, kAxisCount> n_axis_values_{};  ///< values of `axes:`, the first ones of each pool
  std::array<bool, kAxisCount> has_bad_value_{};
  std::vector<std::vector<Axis>> zip_;
  std::vector<const YamlNode*> tried_;  ///< `try` of each selection, for check_selections
  Place axes_place_;
};

}  // namespace gauntlet::spec::detail
