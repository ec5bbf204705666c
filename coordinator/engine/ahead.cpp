#include "coordinator/engine/ahead.hpp"

#include <algorithm>

namespace gauntlet::engine {
namespace {

/// Results in a row that must have been short.
constexpr std::uint32_t kFewest = 8;
/// Times of this many results count.
constexpr std::uint32_t kMemory = 16;
/// A job that takes so many times what may be ahead is no short one that a busy machine has held up.
constexpr double kOutlier = 5;
/// What waits for a cpu is worth so many times the longest mean of short jobs: a result takes about that time
/// from its end to the disk, several to the report, and the next lease back.
constexpr double kDepth = 2;
/// Jobs ahead of each cpu, at most.
constexpr double kMostPerCpu = 32;

double seconds(Milliseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void State::note_time(JobId id, std::optional<double> wall_s) {
  RecentTime& recent = shapes_[job(id).shape].recent;
  if (!wall_s || *wall_s <= 0 || *wall_s > kOutlier * seconds(config_.ahead)) {
    recent = {};
    return;
  }
  recent.n = std::min(recent.n + 1, kMemory);
  recent.mean_s += (*wall_s - recent.mean_s) / recent.n;
}

bool fits_ahead(const State& state, const Worker& worker, const Shape& shape, const spec::Resources& asked) {
  if (shape.recent.n < kFewest || shape.needs_torch || asked.gpus > 0 || asked.cpus <= 0) return false;
  if (shape.recent.mean_s > seconds(state.config().ahead)) return false;
  const double per_cpu = std::min(kDepth * seconds(state.config().ahead) / shape.recent.mean_s, kMostPerCpu);
  const auto ahead = static_cast<std::int64_t>(per_cpu * static_cast<double>(worker.offer.cpus));
  return worker.free_cpus + ahead >= std::min(asked.cpus, worker.offer.cpus) &&
         worker.free_memory_mb >= asked.memory_mb;
}

}  // namespace gauntlet::engine
