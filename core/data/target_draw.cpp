#include "core/data/target_draw.hpp"

#include <map>
#include <set>

#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace gauntlet::data {
namespace {

constexpr std::uint64_t kTargetTag = 0x544152474554;  // "TARGET"

using LabelVector = std::vector<std::uint8_t>;

LabelVector labels_of_item(const PreparedSet& set, std::int64_t item) {
  const auto n_labels = static_cast<std::size_t>(set.n_labels());
  const auto labels = set.labels().subspan(static_cast<std::size_t>(item) * n_labels, n_labels);
  return {labels.begin(), labels.end()};
}

bool share_a_label(const LabelVector& a, const LabelVector& b) {
  for (std::size_t label = 0; label < a.size(); ++label) {
    if (a[label] != 0 && b[label] != 0) return true;
  }
  return false;
}

/// One candidate: an item and its labels.
struct Candidate {
  std::int64_t item = 0;
  LabelVector labels;
};

/// What may be drawn before the query itself is looked at, in the retrieval set's order.
std::vector<Candidate> candidates_of(const PreparedSet& set, TargetDraw draw, std::int64_t min_items) {
  std::map<LabelVector, std::int64_t> in_training;
  for (const std::int64_t item : set.rows(Part::kTrain)) ++in_training[labels_of_item(set, item)];
  const bool once = draw == TargetDraw::kDistinct || draw == TargetDraw::kFrequent;
  std::set<LabelVector> seen;
  std::vector<Candidate> candidates;
  for (const std::int64_t item : set.rows(Part::kRetrieval)) {
    LabelVector labels = labels_of_item(set, item);
    if (draw == TargetDraw::kFrequent && in_training[labels] < min_items) continue;
    if (once && !seen.insert(labels).second) continue;
    candidates.push_back({item, std::move(labels)});
  }
  return candidates;
}

bool fits(const Candidate& candidate, const LabelVector& own, TargetDraw draw) {
  if (draw == TargetDraw::kDisjoint) return !share_a_label(candidate.labels, own);
  if (draw == TargetDraw::kFrequent) return candidate.labels != own;
  return true;
}

}  // namespace

Result<TargetDraw> target_draw_from(std::string_view name) {
  if (name == "uniform") return TargetDraw::kUniform;
  if (name == "distinct") return TargetDraw::kDistinct;
  if (name == "disjoint") return TargetDraw::kDisjoint;
  if (name == "frequent") return TargetDraw::kFrequent;
  return fail(ErrorCode::kInvalid, "targets is '{}'; allowed: uniform, distinct, disjoint, frequent", name);
}

Result<DrawnTargets> draw_target_items(const PreparedSet& set, std::span<const std::int64_t> rows,
                                       TargetDraw draw, std::int64_t min_items, std::uint64_t seed) {
  const std::vector<Candidate> candidates = candidates_of(set, draw, min_items);
  DrawnTargets targets;
  for (const std::int64_t row : rows) {
    const LabelVector own = labels_of_item(set, row);
    std::vector<const Candidate*> allowed;
    for (const Candidate& candidate : candidates) {
      if (fits(candidate, own, draw)) allowed.push_back(&candidate);
    }
    if (allowed.empty()) {
      return fail(
          ErrorCode::kInvalid,
          "no item of the retrieval set can be the target of query {}: none {}; another `targets` has some",
          row,
          draw == TargetDraw::kDisjoint
              ? "is without its labels"
              : fmt::format("has a label vector that {} training items share", min_items));
    }
    RandomStream stream = RandomStream::of(seed, kTargetTag, static_cast<std::uint64_t>(row));
    const Candidate& chosen = *allowed[stream.below(static_cast<std::uint32_t>(allowed.size()))];
    targets.items.push_back(chosen.item);
    targets.labels.insert(targets.labels.end(), chosen.labels.begin(), chosen.labels.end());
  }
  return targets;
}

}  // namespace gauntlet::data
