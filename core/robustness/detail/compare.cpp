#include "core/robustness/detail/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "core/metrics/bootstrap.hpp"

namespace gauntlet::robustness {
namespace {

constexpr int kResamples = 10'000;

}  // namespace

Difference difference_of(const std::vector<double>& values) {
  metrics::MetricValue metric;
  metric.name = "difference";
  metric.n_queries = static_cast<std::int64_t>(values.size());
  metric.per_query = values;
  metric.has_relevant.assign(values.size(), 1);
  metrics::Evaluation evaluation;
  evaluation.n_queries = metric.n_queries;
  evaluation.metrics.push_back(std::move(metric));
  const auto interval = metrics::bootstrap(evaluation, {.n_resamples = kResamples}).front().value;
  return {mean_of(values), interval.low, interval.high, evaluation.n_queries};
}

std::optional<Difference> difference_of(const std::vector<double>& minuend,
                                        const std::vector<double>& subtrahend) {
  if (minuend.empty() || minuend.size() != subtrahend.size()) return std::nullopt;
  std::vector<double> values(minuend.size());
  std::ranges::transform(minuend, subtrahend, values.begin(), std::minus<>());
  return difference_of(values);
}

Finding judged(const Difference& difference, double tolerance, Verdict worst) {
  Verdict verdict = Verdict::kPass;
  if (difference.mean > tolerance) {
    verdict = worst != Verdict::kFail ? worst : difference.low > tolerance ? Verdict::kFail : Verdict::kWarn;
  }
  return {verdict, difference.mean, difference.low, difference.high, difference.n, {}};
}

Finding not_run(std::string sentence) { return {.sentence = std::move(sentence)}; }

Finding figure(Verdict verdict, double value, std::int64_t n, std::string sentence) {
  return {.verdict = verdict, .delta = value, .n = n, .sentence = std::move(sentence)};
}

Verdict worse(Verdict one, Verdict other) {
  if (one == Verdict::kNotRun) return other;
  if (other == Verdict::kNotRun) return one;
  return std::max(one, other);
}

double mean_of(const std::vector<double>& values) {
  return values.empty()
             ? 0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> worst_of(std::span<const Arm* const> arms, const Arm* clean) {
  std::vector<double> worst;
  const auto reduce = [&](const Arm& arm) {
    if (arm.ap.empty()) return;
    if (worst.empty()) {
      worst = arm.ap;
    } else if (worst.size() == arm.ap.size()) {
      std::ranges::transform(worst, arm.ap, worst.begin(), [](double a, double b) { return std::min(a, b); });
    }
  };
  for (const Arm* arm : arms) reduce(*arm);
  if (!worst.empty() && clean != nullptr) reduce(*clean);
  return worst;
}

std::vector<double> white_worst(const Study& study) {
  const std::vector<const Arm*> arms = study.arms(ArmKind::kGradient, true);
  return worst_of(arms, study.own->clean());
}

std::optional<double> number_of(const Arm& arm, const char* option) {
  const auto found = arm.options.find(option);
  if (found == arm.options.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::vector<Series> series_over(std::span<const Arm* const> arms, const std::set<std::string>& options) {
  std::map<std::string, std::map<double, const Arm*>> groups;
  for (const Arm* arm : arms) {
    if (arm->ap.empty()) continue;
    std::optional<double> value;
    Json rest = arm->options;
    for (const std::string& option : options) {
      if (!value) value = number_of(*arm, option.c_str());
      rest.erase(option);
    }
    if (options.contains("epsilon_image")) value = arm->epsilon;
    if (!value) continue;
    groups[fmt::format("{} {} {}", arm->attack, arm->white, rest.dump())].emplace(*value, arm);
  }
  std::vector<Series> found;
  for (const auto& [name, group] : groups) {
    if (group.size() > 1) found.push_back({{group.begin(), group.end()}});
  }
  return found;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

}  // namespace gauntlet::robustness
