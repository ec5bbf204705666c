#include "results/table/table_spec.hpp"

#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "results/table/spec_parts.hpp"
#include "results/table/spec_problems.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxAliases = 100;

const std::vector<std::string>& filter_columns() {
  static const std::vector<std::string> columns = {"sweep",  "dataset",  "model",     "bits",    "defense",
                                                   "attack", "protocol", "direction", "variant", "seed"};
  return columns;
}

/// Reads one document; collects problems instead of stopping at the first.
class SpecReader {
 public:
  explicit SpecReader(std::string_view source) : problems_(source) {}

  TableSpec read(const YAML::Node& root) {
    if (!root.IsMap()) {
      problems_.add(root, "a table spec is a map of keys and values");
      return spec_;
    }
    for (const auto& member : root) {
      const std::string key = member.first.Scalar();
      if (!seen_.insert(key).second) problems_.add(member.first, fmt::format("'{}' is given twice", key));
      read_member(key, member.first, member.second);
    }
    check_whole(root);
    return spec_;
  }

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_.list(); }

 private:
  void read_member(const std::string& key, const YAML::Node& name, const YAML::Node& value) {
    static const std::vector<std::string> known = {
        "gauntlet_table", "title",        "filter",   "metric", "rows",      "columns",    "scale",
        "decimals",       "best",         "labels",   "titles", "order",     "references", "collapse",
        "note",           "significance", "interval", "paper",  "properties"};
    if (key == "gauntlet_table") return read_version(value);
    if (key == "title") return problems_.read_text(value, key, spec_.title);
    if (key == "note") return problems_.read_text(value, key, spec_.note);
    if (key == "filter") return read_filter(value);
    if (key == "metric") {
      spec_.metrics = problems_.texts(value, key);
      return;
    }
    if (key == "rows") return read_levels(value, key, spec_.rows);
    if (key == "columns") return read_levels(value, key, spec_.columns);
    if (key == "scale") return read_scale(value);
    if (key == "decimals") return read_decimals(value);
    if (key == "best") return read_best(value);
    if (key == "labels") return read_labels(value);
    if (key == "titles") return read_titles(value);
    if (key == "order") return read_order(value);
    if (key == "references") return read_references(value, problems_, spec_);
    if (key == "significance") return read_significance(value, problems_, spec_);
    if (key == "interval") return read_interval(value, problems_, spec_);
    if (key == "paper") return read_paper(value, problems_, spec_);
    if (key == "properties") return read_properties(value, problems_, spec_);
    if (key == "collapse") return read_collapse(value);
    problems_.add(name, unknown_name_message("key", key, known));
  }

  void read_version(const YAML::Node& value) {
    if (!value.IsScalar() || value.Scalar() != "1") {
      problems_.add(value, fmt::format("gauntlet_table is the format's version and must be 1, not {}",
                                       SpecProblems::shown(value)));
    }
  }

  void read_filter(const YAML::Node& value) {
    if (!value.IsMap())
      return problems_.add(value,
                           fmt::format("filter maps columns to values, not {}", SpecProblems::shown(value)));
    for (const auto& member : value) {
      const std::string column = member.first.Scalar();
      if (!problems_.is_known(column, filter_columns(), member.first, "filter column")) continue;
      std::vector<std::string> values = problems_.texts(member.second, "filter." + column);
      if (column == "bits" || column == "seed") {
        for (const std::string& text : values) {
          const bool integer = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
          if (!integer)
            problems_.add(member.second, fmt::format("{} is a whole number, not '{}'", column, text));
        }
      }
      spec_.filter[column] = std::move(values);
    }
  }

  void read_levels(const YAML::Node& value, const std::string& key, std::vector<Level>& levels) {
    if (!value.IsSequence() || value.size() == 0) {
      return problems_.add(value,
                           fmt::format("{} is a list of axes, not {}", key, SpecProblems::shown(value)));
    }
    for (const YAML::Node& item : value) {
      Level level = problems_.texts(item, key);
      for (const std::string& axis : level) {
        if (!problems_.is_known(axis, table_axes(), item, "axis")) continue;
        if (axis == "seed") {
          problems_.add(item,
                        "seeds are averaged over, so that 'seed' cannot be an axis; filter by it instead");
        } else if (!used_axes_.insert(axis).second) {
          problems_.add(item, fmt::format("axis '{}' is used twice", axis));
        }
      }
      levels.push_back(std::move(level));
    }
  }

  void read_scale(const YAML::Node& value) {
    if (value.IsScalar() && value.Scalar() == "ratio") {
      spec_.scale = Scale::kRatio;
    } else if (value.IsScalar() && value.Scalar() == "percent") {
      spec_.scale = Scale::kPercent;
    } else {
      problems_.add(value, fmt::format("scale is ratio or percent, not {}", SpecProblems::shown(value)));
    }
  }

  void read_decimals(const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    if (text.size() != 1 || text[0] < '0' || text[0] > '9') {
      return problems_.add(
          value, fmt::format("decimals is a whole number from 0 to 9, not {}", SpecProblems::shown(value)));
    }
    spec_.decimals = text[0] - '0';
  }

  void read_best(const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    if (text == "column") {
      spec_.best = BestOf::kColumn;
    } else if (text == "block") {
      spec_.best = BestOf::kBlock;
    } else if (text == "off" || text == "false") {
      spec_.best = BestOf::kOff;
    } else {
      problems_.add(value, fmt::format("best is column, block or off, not {}", SpecProblems::shown(value)));
    }
  }

  void read_collapse(const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    if (text != "true" && text != "false") {
      problems_.add(value, fmt::format("collapse is true or false, not {}", SpecProblems::shown(value)));
    }
    spec_.collapse = text == "true";
  }

  void read_labels(const YAML::Node& value) {
    if (!value.IsMap())
      return problems_.add(value,
                           fmt::format("labels maps axes to labels, not {}", SpecProblems::shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!problems_.is_known(axis, table_axes(), member.first, "axis")) continue;
      if (!member.second.IsMap()) {
        problems_.add(member.second, fmt::format("labels.{} maps values to texts, not {}", axis,
                                                 SpecProblems::shown(member.second)));
        continue;
      }
      for (const auto& label : member.second) {
        problems_.read_text(label.second, fmt::format("labels.{}.{}", axis, label.first.Scalar()),
                            spec_.labels[axis][label.first.Scalar()]);
      }
    }
  }

  void read_titles(const YAML::Node& value) {
    if (!value.IsMap())
      return problems_.add(value,
                           fmt::format("titles maps axes to texts, not {}", SpecProblems::shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!problems_.is_known(axis, table_axes(), member.first, "axis")) continue;
      problems_.read_text(member.second, "titles." + axis, spec_.titles[axis]);
    }
  }

  void read_order(const YAML::Node& value) {
    if (!value.IsMap())
      return problems_.add(
          value, fmt::format("order maps axes to lists of values, not {}", SpecProblems::shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!problems_.is_known(axis, table_axes(), member.first, "axis")) continue;
      spec_.order[axis] = problems_.texts(member.second, "order." + axis);
    }
  }

  void check_whole(const YAML::Node& root) {
    const bool properties = seen_.contains("properties");
    for (const char* key : {"gauntlet_table", "metric", "rows", "columns"}) {
      if (properties && std::string_view(key) == "columns") continue;
      if (!seen_.contains(key)) problems_.add(root, fmt::format("'{}' is missing", key));
    }
    if (properties) check_properties(root);
    if (spec_.metrics.size() > 1 && !used_axes_.contains("metric")) {
      problems_.add(root["metric"],
                    fmt::format("{} metrics ({}) cannot share a table entry: put 'metric' on rows or columns",
                                spec_.metrics.size(), fmt::join(spec_.metrics, ", ")));
    }
  }

  // A table of properties has one row per defense, and a column per property.
  void check_properties(const YAML::Node& root) {
    if (spec_.rows != std::vector<Level>{{"defense"}})
      problems_.add(root["rows"], "with properties, rows is [defense]");
    for (const char* key : {"columns", "paper", "significance", "interval", "references"}) {
      if (seen_.contains(key)) problems_.add(root[key], fmt::format("'{}' does not go with properties", key));
    }
    if (spec_.metrics.size() != 1) problems_.add(root["metric"], "properties are read off one metric");
  }

  SpecProblems problems_;
  std::set<std::string> seen_;
  std::set<std::string> used_axes_;
  TableSpec spec_;
};

}  // namespace

bool TableSpec::shows(std::string_view axis) const {
  const auto has_axis = [&](const Level& level) {
    return std::find(level.begin(), level.end(), axis) != level.end();
  };
  return std::any_of(rows.begin(), rows.end(), has_axis) ||
         std::any_of(columns.begin(), columns.end(), has_axis);
}

const std::vector<std::string>& table_axes() {
  static const std::vector<std::string> axes = {"sweep",   "dataset", "model",    "bits",
                                                "defense", "attack",  "protocol", "direction",
                                                "variant", "seed",    "metric"};
  return axes;
}

Result<TableSpec> parse_table_spec(std::string_view text, std::string_view source) {
  if (text.size() > kMaxBytes) {
    return fail(ErrorCode::kInvalid, "{}: a table spec has at most {} bytes, not {}", source, kMaxBytes,
                text.size());
  }
  // An alias is followed where it stands, so that a short file of aliases of aliases could grow without
  // bound.
  if (static_cast<std::size_t>(std::count(text.begin(), text.end(), '*')) > kMaxAliases) {
    return fail(ErrorCode::kInvalid, "{}: a table spec has at most {} aliases", source, kMaxAliases);
  }
  try {
    SpecReader reader(source);
    TableSpec spec = reader.read(YAML::Load(std::string(text)));
    if (reader.problems().empty()) return spec;
    return fail(ErrorCode::kInvalid, "{}", fmt::join(reader.problems(), "\n"));
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalid, "{}:{}:{}: {}", source, error.mark.line + 1, error.mark.column + 1,
                error.msg);
  }
}

Result<TableSpec> read_table_spec(const std::filesystem::path& path) {
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxBytes));
  GAUNTLET_TRY(TableSpec spec, parse_table_spec(text, path.string()));
  if (spec.paper && spec.paper->file.is_relative()) spec.paper->file = path.parent_path() / spec.paper->file;
  return spec;
}

}  // namespace gauntlet::results
