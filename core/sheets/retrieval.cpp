#include "core/sheets/retrieval.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/data/query_draw.hpp"
#include "core/io/npy.hpp"
#include "core/metrics/codes.hpp"

namespace gauntlet::sheets {
namespace {

struct Codes {
  metrics::PackedCodes codes;
  std::vector<std::int64_t> rows;
};

Result<Codes> read_codes(const artifacts::Artifact& artifact, std::int64_t n_items) {
  GAUNTLET_TRY(const io::NpyArray codes, io::read_npy(artifact.file("codes.npy")));
  GAUNTLET_TRY(const io::NpyArray rows, io::read_npy(artifact.file("rows.npy")));
  GAUNTLET_TRY(const auto bytes, codes.as<std::uint8_t>());
  GAUNTLET_TRY(const auto row, rows.as<std::int64_t>());
  Codes read;
  GAUNTLET_TRY(read.codes,
               metrics::PackedCodes::from_packed(bytes, artifact.about.value("bits", std::int64_t{0})));
  read.rows.assign(row.begin(), row.end());
  const bool is_in_set = std::ranges::all_of(row, [&](std::int64_t at) { return at >= 0 && at < n_items; });
  if (read.codes.n() != static_cast<std::int64_t>(row.size()) || !is_in_set) {
    return fail(ErrorCode::kCorrupt, "{} holds {} codes for {} rows of a set of {}", artifact.folder.string(),
                read.codes.n(), row.size(), n_items);
  }
  return read;
}

std::int64_t distance(std::span<const std::uint64_t> one, std::span<const std::uint64_t> other) {
  std::int64_t n = 0;
  for (std::size_t word = 0; word < one.size(); ++word) n += std::popcount(one[word] ^ other[word]);
  return n;
}

bool share_a_label(const data::PreparedSet& set, std::int64_t one, std::int64_t other) {
  const auto n = static_cast<std::size_t>(set.n_labels());
  const auto a = set.labels().subspan(static_cast<std::size_t>(one) * n, n);
  const auto b = set.labels().subspan(static_cast<std::size_t>(other) * n, n);
  for (std::size_t label = 0; label < n; ++label) {
    if (a[label] != 0 && b[label] != 0) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<std::vector<Hit>>> nearest(const artifacts::Artifact& queries,
                                              const artifacts::Artifact& items, const data::PreparedSet& set,
                                              std::span<const std::int64_t> rows, std::size_t n) {
  GAUNTLET_TRY(const Codes query_codes, read_codes(queries, set.n_items()));
  GAUNTLET_TRY(const Codes item_codes, read_codes(items, set.n_items()));
  if (query_codes.codes.bits() != item_codes.codes.bits()) {
    return fail(ErrorCode::kCorrupt, "{} holds codes of {} bits, {} of {}", queries.folder.string(),
                query_codes.codes.bits(), items.folder.string(), item_codes.codes.bits());
  }
  GAUNTLET_TRY(const std::vector<std::int64_t> positions, data::positions_of(rows, query_codes.rows));
  std::vector<std::vector<Hit>> found;
  for (std::size_t at = 0; at < positions.size(); ++at) {
    const auto code = query_codes.codes.row(positions[at]);
    std::vector<Hit> hits;
    for (std::int64_t item = 0; item < item_codes.codes.n(); ++item)
      hits.push_back({item_codes.rows[static_cast<std::size_t>(item)],
                      distance(code, item_codes.codes.row(item)), false});
    std::ranges::stable_sort(hits, {}, &Hit::distance);
    hits.resize(std::min(n, hits.size()));
    for (Hit& hit : hits) hit.is_relevant = share_a_label(set, rows[at], hit.row);
    found.push_back(std::move(hits));
  }
  return found;
}

}  // namespace gauntlet::sheets
