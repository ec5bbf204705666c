#include "core/attacks/detail/code_ranks.hpp"

#include <ATen/Parallel.h>

#include "core/base/check.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;
using Words = std::vector<std::uint64_t>;

constexpr double kLeastWeight = 0.1;

Tensor bits_of(const Tensor& values) { return values.detach().gt(0).to(torch::kUInt8).cpu().contiguous(); }

std::span<const std::uint8_t> bytes_of(const Tensor& bits) {
  return {bits.const_data_ptr<std::uint8_t>(), static_cast<std::size_t>(bits.numel())};
}

/// Codes of a network are numbers; K is what the database has.
metrics::PackedCodes packed_codes(const Tensor& codes) {
  auto packed = metrics::PackedCodes::from_values(bytes_of(bits_of(codes)), codes.size(1));
  GAUNTLET_CHECK(packed.has_value());
  return std::move(*packed);
}

metrics::LabelSets packed_labels(const Tensor& labels) {
  auto packed = metrics::LabelSets::from_values(bytes_of(bits_of(labels)), labels.size(1));
  GAUNTLET_CHECK(packed.has_value());
  return std::move(*packed);
}

Words words_of(std::span<const std::uint64_t> row) { return {row.begin(), row.end()}; }

CodeSearch unpacked(const metrics::BitSearch& found, std::int64_t bits) {
  CodeSearch search;
  search.ap = found.ap;
  std::vector<double> code, deltas;
  for (std::size_t bit = 0; bit < static_cast<std::size_t>(bits); ++bit) {
    code.push_back((found.code[bit / 64] >> (bit % 64) & 1) != 0 ? 1 : -1);
    deltas.push_back(std::abs(found.flipped_ap[bit] - found.ap));
  }
  search.code = torch::tensor(code, torch::kFloat64);
  const Tensor delta = torch::tensor(deltas, torch::kFloat64);
  const double mean = delta.mean().item<double>();
  search.weights = mean > 0 ? kLeastWeight + (1 - kLeastWeight) * delta / mean : torch::ones_like(delta);
  return search;
}

}  // namespace

Result<std::shared_ptr<CodeRanks>> CodeRanks::open(const AttackSurface& surface) {
  if (!surface.database) {
    return fail(ErrorCode::kInvalid,
                "the attack needs the codes and labels of the database, which this job "
                "does not give it; allowed: an attack on queries");
  }
  GAUNTLET_TRY(const Database database, surface.database());
  return of(database);
}

Result<std::shared_ptr<CodeRanks>> CodeRanks::of(const Database& database) {
  const metrics::PackedCodes codes = packed_codes(database.codes);
  const metrics::LabelSets labels = packed_labels(database.labels);
  GAUNTLET_TRY(metrics::RetrievalIndex index,
               metrics::RetrievalIndex::build(metrics::ItemsInMemory(codes, labels)));
  return std::shared_ptr<CodeRanks>(new CodeRanks(database, std::move(index)));
}

const metrics::RelevantItems& CodeRanks::relevant(const Tensor& labels) {
  const metrics::LabelSets set = packed_labels(labels.view({1, -1}));
  const auto [found, is_new] = relevant_.try_emplace(words_of(set.row(0)));
  if (is_new) found->second = index_.relevant_to(set.row(0));
  return found->second;
}

Tensor CodeRanks::ap(const Tensor& codes, const Tensor& labels) {
  const metrics::PackedCodes packed = packed_codes(codes);
  std::vector<const metrics::RelevantItems*> sets;
  for (const Tensor& each : labels.unbind(0)) sets.push_back(&relevant(each));
  Tensor values = torch::zeros({packed.n()}, torch::kFloat64);
  double* out = values.mutable_data_ptr<double>();
  at::parallel_for(0, packed.n(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item)
      out[item] = index_.ap_of_code(packed.row(item), *sets[static_cast<std::size_t>(item)]);
  });
  return values;
}

Tensor CodeRanks::chance(const Tensor& labels) {
  std::vector<double> values;
  for (const Tensor& each : labels.unbind(0))
    values.push_back(metrics::chance_ap(index_.n(), relevant(each).n));
  return torch::tensor(values, torch::kFloat64);
}

const CodeSearch& CodeRanks::search(const Tensor& start, const Tensor& labels, metrics::Sense sense) {
  const metrics::PackedCodes code = packed_codes(start.view({1, -1}));
  const metrics::LabelSets set = packed_labels(labels.view({1, -1}));
  auto& known = sense == metrics::Sense::kLower ? down_ : up_;
  const auto [found, is_new] = known.try_emplace({words_of(code.row(0)), words_of(set.row(0))});
  if (is_new) {
    found->second =
        unpacked(metrics::bit_search(index_, relevant(labels), code.row(0), sense), index_.bits());
  }
  return found->second;
}

}  // namespace gauntlet::attacks
