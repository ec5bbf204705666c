#include "core/metrics/swap.hpp"

#include "core/base/check.hpp"
#include "core/metrics/detail/distinct.hpp"
#include "core/metrics/detail/parallel.hpp"

namespace gauntlet::metrics {

WeakestCodes weakest_codes(const RetrievalIndex& index, const PackedCodes& codes, const LabelSets& labels,
                           int n_threads) {
  GAUNTLET_CHECK(codes.n() == 0 || codes.bits() == index.bits());
  const Distinct kinds = distinct_rows(labels);
  WeakestCodes of_kind{std::vector<double>(kinds.first.size(), 1),
                       std::vector<std::int64_t>(kinds.first.size(), 0)};
  const auto work = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t kind = first; kind < last; ++kind) {
      const auto at = static_cast<std::size_t>(kind);
      const RelevantItems relevant = index.relevant_to(labels.row(kinds.first[at]));
      for (std::int64_t code = 0; code < codes.n(); ++code) {
        const double ap = index.ap_of_code(codes.row(code), relevant);
        if (code > 0 && ap >= of_kind.ap[at]) continue;
        of_kind.ap[at] = ap;
        of_kind.chosen[at] = code;
      }
    }
  };
  parallel_ranges(static_cast<std::int64_t>(kinds.first.size()), n_threads, work, 1);
  WeakestCodes found;
  for (const std::size_t kind : kinds.kind) {
    found.ap.push_back(of_kind.ap[kind]);
    found.chosen.push_back(of_kind.chosen[kind]);
  }
  return found;
}

}  // namespace gauntlet::metrics
