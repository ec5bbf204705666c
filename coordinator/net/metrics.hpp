// Counters and histograms, and their text as Prometheus reads it (text format 0.0.4).
// Thread safety: none; one thread counts and writes.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::coordinator {

/// How often values fell at or below each bound.
class Histogram {
 public:
  /// Bounds grow; one more bucket takes what is above the last.
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(bounds_.size() + 1) {}
  void observe(double value);

  [[nodiscard]] const std::vector<double>& bounds() const { return bounds_; }
  /// Of one bucket, not cumulative.
  [[nodiscard]] const std::vector<std::uint64_t>& buckets() const { return buckets_; }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> buckets_;
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

/// From 20 us to 10 s: how long a disk takes.
[[nodiscard]] Histogram disk_histogram();
/// From 1 ms to 28 h: how long jobs wait.
[[nodiscard]] Histogram wait_histogram();

/// What went over the sockets.
struct NetCounters {
  std::uint64_t connections = 0;  ///< accepted since the start
  std::uint64_t refused = 0;      ///< hellos with a wrong token, protocol or role
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t frames_in = 0;
};

/// What became of the work since the start of the process.
struct WorkCounters {
  std::map<ErrorCode, std::uint64_t> failed_attempts;
  std::uint64_t done_attempts = 0;
  std::uint64_t leases = 0;
  std::uint64_t stale_reports = 0;
  std::uint64_t submissions = 0;
  std::uint64_t workers_joined = 0;
  std::uint64_t workers_left = 0;
  struct RunTime {
    std::uint64_t n = 0;
    double total_s = 0;
  };
  std::array<RunTime, spec::kJobKindCount> run_time;  ///< of done attempts, by kind
  Histogram queue_wait = wait_histogram();
};

/// Builds the text, one family after the other.
class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  /// `type`: "counter" (whose name ends in _total), "gauge", "histogram" or "summary".
  void family(std::string_view name, std::string_view type, std::string_view help);
  /// A sample of the family begun last; `suffix` is for parts of summaries.
  void sample(double value, Labels labels = {}, std::string_view suffix = "");
  /// A family of one sample.
  void gauge(std::string_view name, std::string_view help, double value);
  void counter(std::string_view name, std::string_view help, double value);
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);

  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::string text_;
  std::string name_;
};

}  // namespace gauntlet::coordinator
