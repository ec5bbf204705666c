#include "coordinator/net/answer_cache.hpp"

namespace gauntlet::coordinator {
namespace {

constexpr std::size_t kMaxAnswers = 64;

}  // namespace

Result<std::string> AnswerCache::get(std::uint64_t sweep, const std::string& what, const Make& make) {
  const SteadyTime now = clock_.now();
  const auto known = answers_.find({sweep, what});
  if (known != answers_.end() && now - known->second.begun < age_) return known->second.text;
  GAUNTLET_TRY(std::string text, make());
  if (answers_.size() >= kMaxAnswers) answers_.clear();
  // Of the time when it was begun: what came since then is not in it.
  answers_.insert_or_assign(std::pair(sweep, what), Answer{now, text});
  return text;
}

}  // namespace gauntlet::coordinator
