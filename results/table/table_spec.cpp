#include "results/table/table_spec.hpp"

#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "core/base/files.hpp"
#include "core/base/text.hpp"

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
  explicit SpecReader(std::string_view source) : source_(source) {}

  TableSpec read(const YAML::Node& root) {
    if (!root.IsMap()) {
      problem(root, "a table spec is a map of keys and values");
      return spec_;
    }
    for (const auto& member : root) {
      const std::string key = member.first.Scalar();
      if (!seen_.insert(key).second) problem(member.first, fmt::format("'{}' is given twice", key));
      read_member(key, member.first, member.second);
    }
    check_whole(root);
    return spec_;
  }

  std::vector<std::string> problems;

 private:
  void read_member(const std::string& key, const YAML::Node& name, const YAML::Node& value) {
    static const std::vector<std::string> known = {
        "gauntlet_table", "title",  "filter", "metric", "rows",       "columns",  "scale", "decimals",
        "best",           "labels", "titles", "order",  "references", "collapse", "note"};
    if (key == "gauntlet_table") return read_version(value);
    if (key == "title") return read_text(value, key, spec_.title);
    if (key == "note") return read_text(value, key, spec_.note);
    if (key == "filter") return read_filter(value);
    if (key == "metric") {
      spec_.metrics = texts(value, key);
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
    if (key == "references") return read_references(value);
    if (key == "collapse") return read_collapse(value);
    problem(name, unknown_name_message("key", key, known));
  }

  void read_version(const YAML::Node& value) {
    if (!value.IsScalar() || value.Scalar() != "1") {
      problem(value,
              fmt::format("gauntlet_table is the format's version and must be 1, not {}", shown(value)));
    }
  }

  void read_text(const YAML::Node& value, const std::string& key, std::string& target) {
    if (!value.IsScalar()) return problem(value, fmt::format("{} is a text, not {}", key, shown(value)));
    target = value.Scalar();
  }

  // One text or a list of them; never empty.
  std::vector<std::string> texts(const YAML::Node& value, const std::string& key) {
    std::vector<std::string> list;
    if (value.IsScalar()) {
      list.push_back(value.Scalar());
    } else if (value.IsSequence()) {
      for (const YAML::Node& item : value) {
        if (item.IsScalar()) {
          list.push_back(item.Scalar());
        } else {
          problem(item, fmt::format("{} lists texts, not {}", key, shown(item)));
        }
      }
    }
    if (list.empty())
      problem(value, fmt::format("{} is a text or a list of texts, not {}", key, shown(value)));
    return list;
  }

  void read_filter(const YAML::Node& value) {
    if (!value.IsMap())
      return problem(value, fmt::format("filter maps columns to values, not {}", shown(value)));
    for (const auto& member : value) {
      const std::string column = member.first.Scalar();
      if (!is_known(column, filter_columns(), member.first, "filter column")) continue;
      std::vector<std::string> values = texts(member.second, "filter." + column);
      if (column == "bits" || column == "seed") {
        for (const std::string& text : values) {
          const bool integer = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
          if (!integer) problem(member.second, fmt::format("{} is a whole number, not '{}'", column, text));
        }
      }
      spec_.filter[column] = std::move(values);
    }
  }

  void read_levels(const YAML::Node& value, const std::string& key, std::vector<Level>& levels) {
    if (!value.IsSequence() || value.size() == 0) {
      return problem(value, fmt::format("{} is a list of axes, not {}", key, shown(value)));
    }
    for (const YAML::Node& item : value) {
      Level level = texts(item, key);
      for (const std::string& axis : level) {
        if (!is_known(axis, table_axes(), item, "axis")) continue;
        if (axis == "seed") {
          problem(item, "seeds are averaged over, so that 'seed' cannot be an axis; filter by it instead");
        } else if (!used_axes_.insert(axis).second) {
          problem(item, fmt::format("axis '{}' is used twice", axis));
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
      problem(value, fmt::format("scale is ratio or percent, not {}", shown(value)));
    }
  }

  void read_decimals(const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    if (text.size() != 1 || text[0] < '0' || text[0] > '9') {
      return problem(value, fmt::format("decimals is a whole number from 0 to 9, not {}", shown(value)));
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
      problem(value, fmt::format("best is column, block or off, not {}", shown(value)));
    }
  }

  void read_collapse(const YAML::Node& value) {
    const std::string text = value.IsScalar() ? value.Scalar() : "";
    if (text != "true" && text != "false") {
      problem(value, fmt::format("collapse is true or false, not {}", shown(value)));
    }
    spec_.collapse = text == "true";
  }

  void read_labels(const YAML::Node& value) {
    if (!value.IsMap())
      return problem(value, fmt::format("labels maps axes to labels, not {}", shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!is_known(axis, table_axes(), member.first, "axis")) continue;
      if (!member.second.IsMap()) {
        problem(member.second,
                fmt::format("labels.{} maps values to texts, not {}", axis, shown(member.second)));
        continue;
      }
      for (const auto& label : member.second) {
        read_text(label.second, fmt::format("labels.{}.{}", axis, label.first.Scalar()),
                  spec_.labels[axis][label.first.Scalar()]);
      }
    }
  }

  void read_titles(const YAML::Node& value) {
    if (!value.IsMap()) return problem(value, fmt::format("titles maps axes to texts, not {}", shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!is_known(axis, table_axes(), member.first, "axis")) continue;
      read_text(member.second, "titles." + axis, spec_.titles[axis]);
    }
  }

  void read_order(const YAML::Node& value) {
    if (!value.IsMap())
      return problem(value, fmt::format("order maps axes to lists of values, not {}", shown(value)));
    for (const auto& member : value) {
      const std::string axis = member.first.Scalar();
      if (!is_known(axis, table_axes(), member.first, "axis")) continue;
      spec_.order[axis] = texts(member.second, "order." + axis);
    }
  }

  void read_references(const YAML::Node& value) {
    if (!value.IsSequence()) {
      return problem(value, fmt::format("references is a list of maps, not {}", shown(value)));
    }
    for (const YAML::Node& item : value) {
      if (!item.IsMap()) {
        problem(item, fmt::format("a reference is a map like {{metric: chance_map, as: row}}, not {}",
                                  shown(item)));
        continue;
      }
      read_reference(item);
    }
  }

  void read_reference(const YAML::Node& item) {
    static const std::vector<std::string> known = {"metric", "label", "as"};
    Reference reference;
    for (const auto& member : item) {
      const std::string key = member.first.Scalar();
      if (key == "metric") {
        read_text(member.second, "references.metric", reference.metric);
      } else if (key == "label") {
        read_text(member.second, "references.label", reference.label);
      } else if (key == "as") {
        const std::string text = member.second.IsScalar() ? member.second.Scalar() : "";
        if (text != "row" && text != "column") {
          problem(member.second,
                  fmt::format("a reference is shown as row or column, not {}", shown(member.second)));
        }
        reference.as_row = text != "column";
      } else {
        problem(member.first, unknown_name_message("key of a reference", key, known));
      }
    }
    if (reference.metric.empty()) problem(item, "a reference needs a metric");
    if (reference.label.empty()) reference.label = reference.metric;
    spec_.references.push_back(std::move(reference));
  }

  void check_whole(const YAML::Node& root) {
    for (const char* key : {"gauntlet_table", "metric", "rows", "columns"}) {
      if (!seen_.contains(key)) problem(root, fmt::format("'{}' is missing", key));
    }
    if (spec_.metrics.size() > 1 && !used_axes_.contains("metric")) {
      problem(root["metric"],
              fmt::format("{} metrics ({}) cannot share a table entry: put 'metric' on rows or columns",
                          spec_.metrics.size(), fmt::join(spec_.metrics, ", ")));
    }
  }

  bool is_known(const std::string& name, const std::vector<std::string>& known, const YAML::Node& at,
                std::string_view what) {
    if (std::find(known.begin(), known.end(), name) != known.end()) return true;
    problem(at, unknown_name_message(what, name, known));
    return false;
  }

  static std::string shown(const YAML::Node& value) {
    switch (value.Type()) {
      case YAML::NodeType::Scalar:
        return "'" + value.Scalar() + "'";
      case YAML::NodeType::Sequence:
        return "a list";
      case YAML::NodeType::Map:
        return "a map";
      case YAML::NodeType::Null:
        return "nothing";
      case YAML::NodeType::Undefined:
        return "nothing";
    }
    return "nothing";
  }

  void problem(const YAML::Node& at, const std::string& message) {
    const YAML::Mark mark = at.Mark();
    problems.push_back(fmt::format("{}:{}:{}: {}", source_, mark.line + 1, mark.column + 1, message));
  }

  std::string_view source_;
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
    if (reader.problems.empty()) return spec;
    return fail(ErrorCode::kInvalid, "{}", fmt::join(reader.problems, "\n"));
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalid, "{}:{}:{}: {}", source, error.mark.line + 1, error.mark.column + 1,
                error.msg);
  }
}

Result<TableSpec> read_table_spec(const std::filesystem::path& path) {
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxBytes));
  return parse_table_spec(text, path.string());
}

}  // namespace gauntlet::results
