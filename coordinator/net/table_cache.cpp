#include "coordinator/net/table_cache.hpp"

namespace gauntlet::coordinator {
namespace {

constexpr std::size_t kMaxTables = 64;

}  // namespace

Result<std::string> TableCache::get(std::uint64_t sweep, const std::string& metric, const Make& make) {
  const SteadyTime now = clock_.now();
  const auto known = tables_.find({sweep, metric});
  if (known != tables_.end() && now - known->second.begun < age_) return known->second.text;
  GAUNTLET_TRY(std::string text, make());
  if (tables_.size() >= kMaxTables) tables_.clear();
  // Of the time when it was begun: what came since then is not in it.
  tables_.insert_or_assign(std::pair(sweep, metric), Table{now, text});
  return text;
}

}  // namespace gauntlet::coordinator
