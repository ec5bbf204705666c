#include <chrono>
#include <thread>

#include "core/base/fields.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {
namespace {

struct NoopConfig {
  std::int64_t index = 0;
  std::int64_t ms = 0;
  static void fields(auto& self, auto& visit) {
    visit("index", self.index, {.doc = "Tells the jobs of a sweep apart.", .min = 0});
    visit("ms", self.ms, {.doc = "Time the job takes, in milliseconds.", .min = 0, .max = 86'400'000});
  }
};

}  // namespace

Result<AttemptResult> run_noop(const AttemptContext& attempt, ProgressSink&) {
  GAUNTLET_TRY(const NoopConfig config, read_config<NoopConfig>(attempt.job.config, "noop"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(config.ms);
  if (config.ms > 0) std::this_thread::sleep_until(deadline);
  AttemptResult result;
  const auto add = [&](std::string metric, double value) {
    result.rows.push_back({.metric = std::move(metric), .value = value, .unit = "count", .n = 1});
  };
  add("noop_zero", 0);
  add("noop_one", 1);
  add("noop_index", static_cast<double>(config.index));
  return result;
}

}  // namespace gauntlet::worker
