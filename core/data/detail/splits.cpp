#include "core/data/detail/splits.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "core/base/random.hpp"
#include "core/data/detail/prepared_writer.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::uint64_t kRandomTag = 16;
constexpr std::uint64_t kPerClassTag = 17;
constexpr std::uint64_t kSlotsTag = 18;
constexpr std::uint64_t kHalfPerClassTag = 19;
constexpr std::int64_t kMaxItems = std::int64_t{0xFFFFFFFF};

Status check_sizes(std::int64_t n_items, SplitSizes sizes) {
  if (n_items > kMaxItems) {
    return fail(ErrorCode::kInvalid, "{} items; a split can be drawn for at most {}", n_items, kMaxItems);
  }
  if (sizes.n_query >= 0 && sizes.n_train >= 0 && sizes.n_query <= n_items &&
      sizes.n_train <= n_items - sizes.n_query) {
    return {};
  }
  return fail(ErrorCode::kInvalid, "{} queries and {} training items are more than the {} items of the set",
              sizes.n_query, sizes.n_train, n_items);
}

std::vector<std::uint32_t> shuffled(std::int64_t n_items, std::uint64_t seed, std::uint64_t tag) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n_items));
  std::iota(order.begin(), order.end(), 0U);
  RandomStream random = RandomStream::of(seed, tag, 0);
  for (std::size_t last = order.size(); last-- > 1;) {
    std::swap(order[last], order[random.below(static_cast<std::uint32_t>(last + 1))]);
  }
  return order;
}

bool has_label(const ItemLabels& labels, std::uint32_t item, std::size_t label) {
  return std::ranges::binary_search(labels.of(item), static_cast<std::uint16_t>(label));
}

/// Takes items along `order` for one part until every label has its quota, scarce labels first, then tops up.
Status take_per_class(const ItemLabels& labels, const std::vector<std::uint32_t>& order,
                      const std::vector<std::size_t>& scarce_first, std::int64_t quota, std::uint8_t part,
                      Split& split) {
  std::vector<std::int64_t> have(scarce_first.size(), 0);
  std::int64_t n_taken = 0;
  const auto take = [&](std::uint32_t item) {
    split[item] = part;
    ++n_taken;
    for (const std::uint16_t label : labels.of(item)) ++have[label];
  };
  for (const std::size_t label : scarce_first) {
    for (std::size_t at = 0; at < order.size() && have[label] < quota; ++at) {
      if (split[order[at]] == kSplitRetrieval && has_label(labels, order[at], label)) take(order[at]);
    }
    if (have[label] < quota) {
      return fail(ErrorCode::kInvalid, "label {} has too few items for this split: {} of {} {} were found",
                  label, have[label], quota, part == kSplitQuery ? "queries" : "training items");
    }
  }
  const std::int64_t wanted = quota * labels.n_labels();
  for (std::size_t at = 0; at < order.size() && n_taken < wanted; ++at) {
    if (split[order[at]] == kSplitRetrieval) take(order[at]);
  }
  if (n_taken == wanted) return {};
  return fail(ErrorCode::kInvalid, "the set has too few items for this split: {} of {} {} were found",
              n_taken, wanted, part == kSplitQuery ? "queries" : "training items");
}

}  // namespace

ItemLabels ItemLabels::from_rows(std::span<const std::uint8_t> rows, std::int64_t n_labels) {
  ItemLabels items(n_labels);
  const auto width = static_cast<std::size_t>(n_labels);
  for (std::size_t begin = 0; begin < rows.size(); begin += width) {
    for (std::size_t label = 0; label < width; ++label) {
      if (rows[begin + label] != 0) items.labels_.push_back(static_cast<std::uint16_t>(label));
    }
    items.begins_.push_back(items.labels_.size());
  }
  return items;
}

ItemLabels ItemLabels::from_bits(std::span<const std::uint64_t> words, std::size_t n_words,
                                 std::int64_t n_labels) {
  ItemLabels items(n_labels);
  for (std::size_t begin = 0; begin < words.size(); begin += n_words) {
    for (std::size_t word = 0; word < n_words; ++word) {
      for (std::uint64_t rest = words[begin + word]; rest != 0; rest &= rest - 1) {
        items.labels_.push_back(
            static_cast<std::uint16_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
      }
    }
    items.begins_.push_back(items.labels_.size());
  }
  return items;
}

std::span<const std::uint16_t> ItemLabels::of(std::int64_t item) const {
  const auto at = static_cast<std::size_t>(item);
  return std::span(labels_).subspan(begins_[at], begins_[at + 1] - begins_[at]);
}

std::vector<std::int64_t> ItemLabels::counts() const {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(n_labels_), 0);
  for (const std::uint16_t label : labels_) ++counts[label];
  return counts;
}

Result<Split> row_order_split(std::int64_t n_items, SplitSizes sizes, QueryPlace place) {
  GAUNTLET_CHECK_OK(check_sizes(n_items, sizes));
  Split split(static_cast<std::size_t>(n_items), kSplitRetrieval);
  const bool at_head = place == QueryPlace::kHead;
  std::fill_n(split.begin() + (at_head ? 0 : n_items - sizes.n_query), sizes.n_query, kSplitQuery);
  std::fill_n(split.begin() + (at_head ? sizes.n_query : 0), sizes.n_train, kSplitTrain);
  return split;
}

Result<Split> random_split(std::int64_t n_items, SplitSizes sizes, std::uint64_t seed) {
  GAUNTLET_CHECK_OK(check_sizes(n_items, sizes));
  const std::vector<std::uint32_t> order = shuffled(n_items, seed, kRandomTag);
  Split split(order.size(), kSplitRetrieval);
  const auto n_query = static_cast<std::size_t>(sizes.n_query);
  for (std::size_t at = 0; at < n_query; ++at) split[order[at]] = kSplitQuery;
  for (std::size_t at = n_query; at < n_query + static_cast<std::size_t>(sizes.n_train); ++at) {
    split[order[at]] = kSplitTrain;
  }
  return split;
}

Result<Split> per_class_split(const ItemLabels& labels, SplitSizes per_class, std::uint64_t seed) {
  GAUNTLET_CHECK_OK(check_sizes(labels.n_items(), {}));
  const std::vector<std::uint32_t> order = shuffled(labels.n_items(), seed, kPerClassTag);
  const std::vector<std::int64_t> counts = labels.counts();
  std::vector<std::size_t> scarce_first(counts.size());
  std::iota(scarce_first.begin(), scarce_first.end(), std::size_t{0});
  std::ranges::stable_sort(scarce_first, {}, [&](std::size_t label) { return counts[label]; });
  Split split(order.size(), kSplitRetrieval);
  GAUNTLET_CHECK_OK(take_per_class(labels, order, scarce_first, per_class.n_query, kSplitQuery, split));
  GAUNTLET_CHECK_OK(take_per_class(labels, order, scarce_first, per_class.n_train, kSplitTrain, split));
  return split;
}

Result<Split> slots_split(const ItemLabels& labels, SplitSizes per_class, std::uint64_t seed) {
  GAUNTLET_CHECK_OK(check_sizes(labels.n_items(), {}));
  const std::vector<std::uint32_t> order = shuffled(labels.n_items(), seed, kSlotsTag);
  const auto n_labels = static_cast<std::size_t>(labels.n_labels());
  std::vector<std::int64_t> free_train(n_labels, per_class.n_train);
  std::vector<std::int64_t> free_query(n_labels, per_class.n_query);
  Split split(order.size(), kSplitRetrieval);
  for (const std::uint32_t item : order) {
    for (const std::uint16_t label : labels.of(item)) {
      auto& free = free_train[label] > 0 ? free_train[label] : free_query[label];
      if (free == 0) continue;
      split[item] = &free == &free_train[label] ? kSplitTrain : kSplitQuery;
      --free;
      break;
    }
  }
  for (std::size_t label = 0; label < n_labels; ++label) {
    if (free_train[label] == 0 && free_query[label] == 0) continue;
    return fail(
        ErrorCode::kInvalid,
        "label {} has too few items for this split: {} of its {} training and {} of its {} query slots stay "
        "free",
        label, free_train[label], per_class.n_train, free_query[label], per_class.n_query);
  }
  return split;
}

Result<Split> half_per_class_split(const ItemLabels& labels, SplitSizes first, std::uint64_t seed) {
  GAUNTLET_CHECK_OK(check_sizes(labels.n_items(), {}));
  const std::vector<std::uint32_t> order = shuffled(labels.n_items(), seed, kHalfPerClassTag);
  Split split(order.size(), kSplitRetrieval);
  std::int64_t train_missing = 0;
  const auto take = [&](std::int64_t n_wanted, std::uint8_t part, auto is_fit) {
    for (std::size_t at = 0; at < order.size() && n_wanted > 0; ++at) {
      if (split[order[at]] != kSplitRetrieval || !is_fit(order[at])) continue;
      split[order[at]] = part;
      --n_wanted;
    }
    return n_wanted;  // what is missing
  };
  for (std::size_t label = 0; label < static_cast<std::size_t>(labels.n_labels()); ++label) {
    const auto carries = [&](std::uint32_t item) { return has_label(labels, item, label); };
    const std::int64_t share = label == 0 ? 1 : 2;
    if (const std::int64_t missing = take(first.n_query / share, kSplitQuery, carries); missing > 0) {
      return fail(ErrorCode::kInvalid,
                  "label {} has too few new items for this split: {} queries are missing", label, missing);
    }
    train_missing += take(first.n_train / share, kSplitTrain, carries);
  }
  train_missing = take(train_missing, kSplitTrain, [](std::uint32_t) { return true; });
  if (train_missing == 0) return split;
  return fail(ErrorCode::kInvalid, "the set has too few items for this split: {} training items are missing",
              train_missing);
}

}  // namespace gauntlet::data::detail
