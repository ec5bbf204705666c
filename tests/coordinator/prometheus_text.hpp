// A strict reader of Prometheus' text format 0.0.4: what it refuses, a scrape may refuse.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace gauntlet::coordinator {

struct PrometheusSample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct PrometheusFamily {
  std::string type;
  std::string help;
  std::vector<PrometheusSample> samples;
};

class PrometheusText {
 public:
  /// Reads it all; every offence is a test failure.
  explicit PrometheusText(const std::string& text) {
    EXPECT_TRUE(text.ends_with('\n'));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) read_line(line);
    for (const auto& [name, family] : families_) check_family(name, family);
  }

  [[nodiscard]] const std::map<std::string, PrometheusFamily>& families() const { return families_; }
  /// The one sample of that name and those labels.
  [[nodiscard]] double value(const std::string& name,
                             const std::map<std::string, std::string>& labels = {}) const {
    for (const auto& [family, content] : families_) {
      for (const PrometheusSample& sample : content.samples) {
        if (sample.name == name && sample.labels == labels) return sample.value;
      }
    }
    ADD_FAILURE() << "no sample " << name;
    return std::nan("");
  }

 private:
  void read_line(const std::string& line) {
    static const std::regex comment(R"(^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$)");
    static const std::regex sample(
        R"(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (NaN|[+-]Inf|-?[0-9.]+([eE][+-]?[0-9]+)?)$)");
    std::smatch match;
    if (line.starts_with('#')) {
      ASSERT_TRUE(std::regex_match(line, match, comment)) << line;
      return match[1] == "HELP" ? begin_family(match[2], match[3]) : set_type(match[2], match[3]);
    }
    ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
    PrometheusSample read;
    read.name = match[1];
    if (match[2].matched) read_labels(match[3], read);
    read.value = std::strtod(match[4].str().c_str(), nullptr);
    add(std::move(read), line);
  }

  void begin_family(const std::string& name, const std::string& help) {
    EXPECT_TRUE(families_.emplace(name, PrometheusFamily{"", help, {}}).second) << name << " comes twice";
    current_ = name;
  }

  void set_type(const std::string& name, const std::string& type) {
    ASSERT_EQ(name, current_) << "TYPE follows HELP";
    PrometheusFamily& family = families_.at(name);
    EXPECT_TRUE(family.type.empty() && family.samples.empty()) << name;
    EXPECT_TRUE(std::set<std::string>({"counter", "gauge", "histogram", "summary"}).contains(type)) << type;
    EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
    family.type = type;
  }

  static void read_labels(std::string rest, PrometheusSample& sample) {
    static const std::regex label(R"REGEX(^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$))REGEX");
    while (!rest.empty()) {
      std::smatch match;
      ASSERT_TRUE(std::regex_search(rest, match, label)) << rest;
      EXPECT_TRUE(sample.labels.emplace(match[1], match[2]).second) << "label " << match[1] << " comes twice";
      EXPECT_FALSE(match[1].str().starts_with("__"));
      const std::string tail = match.suffix();
      EXPECT_TRUE(match[3] == "" || !tail.empty()) << "a comma at the end";
      rest = tail;
    }
  }

  void add(PrometheusSample sample, const std::string& line) {
    ASSERT_FALSE(current_.empty()) << "a sample before any family: " << line;
    PrometheusFamily& family = families_.at(current_);
    EXPECT_FALSE(family.type.empty()) << line;
    std::set<std::string> allowed = {current_};
    if (family.type == "histogram") allowed = {current_ + "_bucket", current_ + "_sum", current_ + "_count"};
    if (family.type == "summary") allowed = {current_ + "_sum", current_ + "_count"};
    EXPECT_TRUE(allowed.contains(sample.name)) << line << " is no part of " << current_;
    EXPECT_TRUE(seen_.emplace(sample.name, sample.labels).second) << "twice: " << line;
    EXPECT_TRUE(family.type == "gauge" || sample.value >= 0) << line;
    family.samples.push_back(std::move(sample));
  }

  static void check_family(const std::string& name, const PrometheusFamily& family) {
    EXPECT_FALSE(family.type.empty()) << name << " has no TYPE";
    EXPECT_FALSE(family.help.empty()) << name;
    if (family.type != "histogram") return;
    double last_bound = -INFINITY;
    double last_count = 0;
    double total = -1;
    for (const PrometheusSample& sample : family.samples) {
      if (sample.name == name + "_count") total = sample.value;
      if (sample.name != name + "_bucket") continue;
      const double bound = std::strtod(sample.labels.at("le").c_str(), nullptr);
      EXPECT_GT(bound, last_bound) << name;
      EXPECT_GE(sample.value, last_count) << name << ": buckets are cumulative";
      last_bound = bound;
      last_count = sample.value;
    }
    EXPECT_TRUE(std::isinf(last_bound)) << name << ": the last bucket takes everything";
    EXPECT_EQ(last_count, total) << name;
  }

  std::map<std::string, PrometheusFamily> families_;
  std::set<std::pair<std::string, std::map<std::string, std::string>>> seen_;
  std::string current_;
};

}  // namespace gauntlet::coordinator
