#include "cli/support/synthetic_codes.hpp"

#include <bit>

#include "core/base/random.hpp"

namespace gauntlet::cli {
namespace {

std::vector<std::int8_t> code_values_of(const StoredItems& items) {
  std::vector<std::int8_t> values;
  values.reserve(static_cast<std::size_t>(items.n() * items.bits()));
  for (std::size_t item = 0; item < static_cast<std::size_t>(items.n()); ++item) {
    for (std::size_t bit = 0; bit < static_cast<std::size_t>(items.bits()); ++bit) {
      const std::uint64_t word = items.codes[item * items.n_code_words() + bit / 64];
      values.push_back(((word >> (bit % 64)) & 1) != 0 ? 1 : -1);
    }
  }
  return values;
}

std::vector<std::uint8_t> label_values_of(const StoredItems& items) {
  std::vector<std::uint8_t> values;
  values.reserve(static_cast<std::size_t>(items.n() * items.n_labels()));
  for (std::size_t item = 0; item < static_cast<std::size_t>(items.n()); ++item) {
    for (std::size_t label = 0; label < static_cast<std::size_t>(items.n_labels()); ++label) {
      const std::uint64_t word = items.labels[item * items.n_label_words() + label / 64];
      values.push_back(static_cast<std::uint8_t>((word >> (label % 64)) & 1));
    }
  }
  return values;
}

/// Draws items one by one.
StoredItems drawn_items(std::int64_t n, std::int64_t bits, std::uint64_t seed) {
  StoredItems items(n, bits, SyntheticCodes::kLabels);
  RandomStream centers(1);  // the same for queries and items
  std::vector<std::uint64_t> center_words(static_cast<std::size_t>(SyntheticCodes::kLabels) *
                                          items.n_code_words());
  for (std::uint64_t& word : center_words) word = centers.next();
  RandomStream stream(seed);
  const std::uint64_t last_mask = bits % 64 == 0 ? ~std::uint64_t{0} : (std::uint64_t{1} << (bits % 64)) - 1;
  for (std::size_t item = 0; item < static_cast<std::size_t>(n); ++item) {
    std::size_t first_label = 0;
    const std::uint32_t n_labels = 1 + stream.below(5);
    for (std::uint32_t drawn = 0; drawn < n_labels; ++drawn) {
      const double share = stream.uniform();
      const auto label = static_cast<std::size_t>(share * share * SyntheticCodes::kLabels);
      items.labels[item * items.n_label_words() + label / 64] |= std::uint64_t{1} << (label % 64);
      if (drawn == 0) first_label = label;
    }
    for (std::size_t word = 0; word < items.n_code_words(); ++word) {
      const std::uint64_t noise = stream.next() & stream.next();
      items.codes[item * items.n_code_words() + word] =
          (center_words[first_label * items.n_code_words() + word] ^ noise) &
          (word + 1 == items.n_code_words() ? last_mask : ~std::uint64_t{0});
    }
  }
  return items;
}

}  // namespace

StoredItems::StoredItems(std::int64_t n, std::int64_t bits, std::int64_t n_labels)
    : n_(n), bits_(bits), n_labels_(n_labels) {
  codes.resize(static_cast<std::size_t>(n) * n_code_words());
  labels.resize(static_cast<std::size_t>(n) * n_label_words());
}

Result<metrics::ItemRows> StoredItems::rows(std::int64_t first, std::int64_t n, metrics::ItemScratch&) const {
  const auto part = [&](const std::vector<std::uint64_t>& all, std::size_t n_words) {
    return std::span(all).subspan(static_cast<std::size_t>(first) * n_words,
                                  static_cast<std::size_t>(n) * n_words);
  };
  return metrics::ItemRows{part(codes, n_code_words()), part(labels, n_label_words())};
}

Result<SyntheticCodes> SyntheticCodes::make(std::int64_t n_queries, std::int64_t n_items, std::int64_t bits) {
  SyntheticCodes data(drawn_items(n_items, bits, 2));
  const StoredItems queries = drawn_items(n_queries, bits, 3);
  const std::vector<std::int8_t> codes = code_values_of(queries);
  const std::vector<std::uint8_t> labels = label_values_of(queries);
  GAUNTLET_TRY(data.query_codes,
               metrics::PackedCodes::from_values(std::span<const std::int8_t>(codes), bits));
  GAUNTLET_TRY(data.query_labels,
               metrics::LabelSets::from_values(std::span<const std::uint8_t>(labels), kLabels));
  return data;
}

int SyntheticCodes::distance(std::int64_t query, std::size_t item) const {
  const std::span<const std::uint64_t> code = query_codes.row(query);
  int sum = 0;
  for (std::size_t word = 0; word < code.size(); ++word) {
    sum += std::popcount(code[word] ^ items_.codes[item * code.size() + word]);
  }
  return sum;
}

bool SyntheticCodes::shares_label(std::int64_t query, std::size_t item) const {
  const std::span<const std::uint64_t> labels = query_labels.row(query);
  for (std::size_t word = 0; word < labels.size(); ++word) {
    if ((labels[word] & items_.labels[item * labels.size() + word]) != 0) return true;
  }
  return false;
}

std::vector<std::int8_t> SyntheticCodes::code_values() const { return code_values_of(items_); }
std::vector<std::uint8_t> SyntheticCodes::label_values() const { return label_values_of(items_); }

}  // namespace gauntlet::cli
