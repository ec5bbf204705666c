#include "worker/executor/evaluate_swap.hpp"

#include <algorithm>
#include <iostream>
#include <numeric>

#include "core/base/random.hpp"
#include "core/metrics/evaluate.hpp"
#include "core/metrics/refusals.hpp"
#include "core/metrics/swap.hpp"

namespace gauntlet::worker {
namespace {

constexpr std::uint64_t kSwapTag = 0x53574150;  // "SWAP"

/// Some of 0 .. n-1, each set of them equally likely, in ascending order.
std::vector<std::int64_t> drawn(std::int64_t n, std::int64_t n_wanted, std::uint64_t seed) {
  std::vector<std::int64_t> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  if (n_wanted >= n) return items;
  RandomStream stream = RandomStream::of(purpose_seed(seed, "", "swap"), kSwapTag, 0);
  for (std::int64_t at = 0; at < n_wanted; ++at) {
    const auto left = static_cast<std::uint32_t>(n - at);
    std::swap(items[static_cast<std::size_t>(at)], items[static_cast<std::size_t>(at + stream.below(left))]);
  }
  items.resize(static_cast<std::size_t>(n_wanted));
  std::ranges::sort(items);
  return items;
}

/// The codes of these items, in their order; one may come more than once.
Result<metrics::PackedCodes> picked(const metrics::PackedCodes& codes, std::span<const std::int64_t> items) {
  const std::vector<std::uint8_t> all = codes.to_bytes();
  const std::size_t width = (static_cast<std::size_t>(codes.bits()) + 7) / 8;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(items.size() * width);
  for (const std::int64_t item : items) {
    const auto begin = all.begin() + item * static_cast<std::ptrdiff_t>(width);
    bytes.insert(bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return metrics::PackedCodes::from_packed(bytes, codes.bits());
}

Result<std::int64_t> n_wanted(const Json& config) {
  const Json found = config["swap"].is_object() ? config["swap"].value("inputs", Json()) : Json();
  if (found.is_number_integer() && found.get<std::int64_t>() >= 1) return found.get<std::int64_t>();
  return fail(ErrorCode::kInvalid,
              "the evaluate job's 'swap.inputs' is {}; allowed: a whole number from 1 on", found.dump());
}

}  // namespace

Result<AttemptResult> run_evaluate_swap(const AttemptContext& attempt, const EvaluationInputs& read,
                                        std::span<const std::string> metrics, ProgressSink& progress) {
  GAUNTLET_TRY(const std::int64_t wanted, n_wanted(attempt.job.config));
  GAUNTLET_TRY(const Codes inputs, read_codes(attempt, "worst_of_000", read.set.n_items()));
  if (inputs.codes.n() == 0 || inputs.codes.bits() != read.retrieval.codes.bits()) {
    return fail(ErrorCode::kInvalid,
                "there are {} training inputs of {} bits to swap in; the database has codes of {} bits",
                inputs.codes.n(), inputs.codes.bits(), read.retrieval.codes.bits());
  }
  std::vector<std::int64_t> swapped = drawn(inputs.codes.n(), wanted, attempt.job.seed);
  const std::vector<std::uint8_t> refused = metrics::refused(inputs.refusal_scores);
  if (!refused.empty())
    std::erase_if(swapped, [&](std::int64_t at) { return refused[static_cast<std::size_t>(at)] != 0; });
  if (swapped.empty())
    return fail(ErrorCode::kInvalid, "the defense refuses every training input that could be swapped in");
  GAUNTLET_TRY(const metrics::PackedCodes tried, picked(inputs.codes, swapped));

  progress.update({.phase = "swaps"});
  const metrics::ItemsInMemory items(read.retrieval.codes, read.retrieval_labels);
  GAUNTLET_TRY(const metrics::RetrievalIndex index, metrics::RetrievalIndex::build(items, attempt.threads));
  const metrics::WeakestCodes weakest =
      metrics::weakest_codes(index, tried, read.query_labels, attempt.threads);
  GAUNTLET_TRY(const metrics::PackedCodes chosen, picked(tried, weakest.chosen));

  progress.update({.fraction = 0.5, .phase = "metrics"});
  const metrics::EvaluationInput input{chosen, read.retrieval.codes, read.query_labels, read.retrieval_labels,
                                       read.targets.get()};
  GAUNTLET_TRY(const metrics::Evaluation evaluation, metrics::evaluate(input, metrics, attempt.threads));
  std::cout << fmt::format(
      "{} queries, {} of {} training inputs to swap in: MAP {:.4f}\n", chosen.n(), tried.n(),
      inputs.codes.n(),
      std::accumulate(weakest.ap.begin(), weakest.ap.end(), 0.0) / static_cast<double>(weakest.ap.size()));
  return AttemptResult{.rows = metrics::rows_of(evaluation), .curves = metrics::curves_of(evaluation)};
}

}  // namespace gauntlet::worker
