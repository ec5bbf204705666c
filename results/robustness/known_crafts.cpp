#include "results/robustness/known_crafts.hpp"

namespace gauntlet::results {

KnownCrafts::KnownCrafts(const spec::Expansion& expansion) {
  for (const spec::PlannedJob& planned : expansion.jobs) {
    if (planned.job.kind != spec::JobKind::kCraft) continue;
    const Json& config = planned.job.config;
    if (config.value("part", "") != "query" || config.contains("on_queries")) continue;
    crafts_.emplace(planned.job.entry, config.value("attack", Json::object()).dump(),
                    config.value("protocol", "static") == "static");
  }
}

}  // namespace gauntlet::results
