#include "results/table/spec_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.hpp"

namespace gauntlet::results {
namespace {

constexpr std::int64_t kMostDraws = 10'000'000;

void read_reference(const YAML::Node& item, SpecProblems& problems, TableSpec& spec) {
  static const std::vector<std::string> known = {"metric", "label", "as"};
  Reference reference;
  for (const auto& member : item) {
    const std::string key = member.first.Scalar();
    if (key == "metric") {
      problems.read_text(member.second, "references.metric", reference.metric);
    } else if (key == "label") {
      problems.read_text(member.second, "references.label", reference.label);
    } else if (key == "as") {
      const std::string text = member.second.IsScalar() ? member.second.Scalar() : "";
      if (text != "row" && text != "column") {
        problems.add(member.second, fmt::format("a reference is shown as row or column, not {}",
                                                SpecProblems::shown(member.second)));
      }
      reference.as_row = text != "column";
    } else {
      problems.is_known(key, known, member.first, "key of a reference");
    }
  }
  if (reference.metric.empty()) problems.add(item, "a reference needs a metric");
  if (reference.label.empty()) reference.label = reference.metric;
  spec.references.push_back(std::move(reference));
}

void read_shown_parts(const YAML::Node& value, SpecProblems& problems, PaperSpec& paper) {
  static const std::vector<std::string> known = {"value", "difference"};
  const std::vector<std::string> parts = problems.texts(value, "paper.show");
  for (const std::string& part : parts) problems.is_known(part, known, value, "part of paper.show");
  paper.value = std::find(parts.begin(), parts.end(), "value") != parts.end();
  paper.difference = std::find(parts.begin(), parts.end(), "difference") != parts.end();
}

void read_property(const YAML::Node& item, SpecProblems& problems, TableSpec& spec) {
  static const std::vector<std::string> known = {"label", "is", "at_least"};
  static const std::vector<std::string> kinds = {"type", "holds_under_attack", "holds_on_benign",
                                                 "works_across_models"};
  Property property;
  std::string is;
  for (const auto& member : item) {
    const std::string key = member.first.Scalar();
    if (key == "label") {
      problems.read_text(member.second, "properties.label", property.label);
    } else if (key == "is") {
      problems.read_text(member.second, "properties.is", is);
    } else if (key == "at_least") {
      problems.read_real(member.second, "properties.at_least", 0, 10, property.at_least);
    } else {
      problems.is_known(key, known, member.first, "key of a property");
    }
  }
  if (!problems.is_known(is, kinds, item, "property")) return;
  property.kind = static_cast<PropertyKind>(std::find(kinds.begin(), kinds.end(), is) - kinds.begin());
  if (property.label.empty()) property.label = is;
  spec.properties.push_back(std::move(property));
}

}  // namespace

void read_references(const YAML::Node& value, SpecProblems& problems, TableSpec& spec) {
  if (!value.IsSequence()) {
    return problems.add(value,
                        fmt::format("references is a list of maps, not {}", SpecProblems::shown(value)));
  }
  for (const YAML::Node& item : value) {
    if (problems.is_map(item, "a reference is a map like {metric: chance_map, as: row}")) {
      read_reference(item, problems, spec);
    }
  }
}

void read_significance(const YAML::Node& value, SpecProblems& problems, TableSpec& spec) {
  static const std::vector<std::string> known = {"against", "level", "permutations"};
  if (!problems.is_map(value, "significance is a map like {against: {defense: none}}")) return;
  Significance significance;
  for (const auto& member : value) {
    const std::string key = member.first.Scalar();
    if (key == "against") {
      if (!problems.is_map(member.second, "significance.against maps axes to values")) continue;
      for (const auto& axis : member.second) {
        if (!problems.is_known(axis.first.Scalar(), table_axes(), axis.first, "axis")) continue;
        problems.read_text(axis.second, "significance.against." + axis.first.Scalar(),
                           significance.against[axis.first.Scalar()]);
      }
    } else if (key == "level") {
      problems.read_real(member.second, "significance.level", 0, 1, significance.level);
    } else if (key == "permutations") {
      problems.read_count(member.second, "significance.permutations", 100, kMostDraws,
                          significance.permutations);
    } else {
      problems.is_known(key, known, member.first, "key of significance");
    }
  }
  if (significance.against.empty())
    problems.add(value, "significance needs a baseline: against: {defense: none}");
  spec.significance = std::move(significance);
}

void read_interval(const YAML::Node& value, SpecProblems& problems, TableSpec& spec) {
  static const std::vector<std::string> known = {"level", "samples"};
  IntervalSpec interval;
  if (value.IsScalar()) {
    problems.read_real(value, "interval", 0, 1, interval.level);
  } else if (problems.is_map(value, "interval is a level like 0.95 or a map like {level: 0.95}")) {
    for (const auto& member : value) {
      const std::string key = member.first.Scalar();
      if (key == "level") {
        problems.read_real(member.second, "interval.level", 0, 1, interval.level);
      } else if (key == "samples") {
        problems.read_count(member.second, "interval.samples", 100, kMostDraws, interval.samples);
      } else {
        problems.is_known(key, known, member.first, "key of interval");
      }
    }
  }
  spec.interval = interval;
}

void read_paper(const YAML::Node& value, SpecProblems& problems, TableSpec& spec) {
  static const std::vector<std::string> known = {"file", "where", "metric", "show", "label"};
  if (!problems.is_map(value, "paper is a map like {file: paper.csv}")) return;
  PaperSpec paper;
  for (const auto& member : value) {
    const std::string key = member.first.Scalar();
    if (key == "file") {
      std::string file;
      problems.read_text(member.second, "paper.file", file);
      paper.file = file;
    } else if (key == "where") {
      if (!problems.is_map(member.second, "paper.where maps columns of the file to values")) continue;
      for (const auto& column : member.second) {
        paper.where[column.first.Scalar()] =
            problems.texts(column.second, "paper.where." + column.first.Scalar());
      }
    } else if (key == "metric") {
      if (!problems.is_map(member.second, "paper.metric maps metrics of the table to the file's")) continue;
      for (const auto& metric : member.second) {
        problems.read_text(metric.second, "paper.metric", paper.metric[metric.first.Scalar()]);
      }
    } else if (key == "show") {
      read_shown_parts(member.second, problems, paper);
    } else if (key == "label") {
      problems.read_text(member.second, "paper.label", paper.label);
    } else {
      problems.is_known(key, known, member.first, "key of paper");
    }
  }
  if (paper.file.empty()) problems.add(value, "paper needs a file");
  spec.paper = std::move(paper);
}

void read_properties(const YAML::Node& value, SpecProblems& problems, TableSpec& spec) {
  if (!value.IsSequence() || value.size() == 0) {
    return problems.add(value,
                        fmt::format("properties is a list of maps, not {}", SpecProblems::shown(value)));
  }
  for (const YAML::Node& item : value) {
    if (problems.is_map(item, "a property is a map like {is: holds_under_attack, at_least: 0.9}")) {
      read_property(item, problems, spec);
    }
  }
}

}  // namespace gauntlet::results
