#include "coordinator/net/metrics.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::coordinator {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

/// Backslash, line break and, in label values, the quote.
std::string escaped(std::string_view text, bool quote) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\\') {
      out += "\\\\";
    } else if (letter == '\n') {
      out += "\\n";
    } else if (letter == '"' && quote) {
      out += "\\\"";
    } else {
      out += letter;
    }
  }
  return out;
}

}  // namespace

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++buckets_[static_cast<std::size_t>(bucket)];
  sum_ += value;
  ++count_;
}

Histogram disk_histogram() {
  return Histogram({20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2,
                    0.5, 1, 2, 5, 10});
}

Histogram wait_histogram() {
  return Histogram({0.001, 0.01, 0.1, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400, 36000, 100000});
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void MetricsText::sample(double value, Labels labels, std::string_view suffix) {
  text_ += name_;
  text_ += suffix;
  const char* before = "{";
  for (const auto& [label, said] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", before, label, escaped(said, true));
    before = ",";
  }
  if (labels.size() > 0) text_ += "}";
  text_ += fmt::format(" {}\n", number(value));
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  family(name, "gauge", help);
  sample(value);
}

void MetricsText::counter(std::string_view name, std::string_view help, double value) {
  family(name, "counter", help);
  sample(value);
}

void MetricsText::histogram(std::string_view name, std::string_view help, const Histogram& histogram) {
  family(name, "histogram", help);
  std::uint64_t n_below = 0;
  for (std::size_t at = 0; at < histogram.bounds().size(); ++at) {
    n_below += histogram.buckets()[at];
    sample(static_cast<double>(n_below), {{"le", number(histogram.bounds()[at])}}, "_bucket");
  }
  sample(static_cast<double>(histogram.count()), {{"le", "+Inf"}}, "_bucket");
  sample(histogram.sum(), {}, "_sum");
  sample(static_cast<double>(histogram.count()), {}, "_count");
}

}  // namespace gauntlet::coordinator
