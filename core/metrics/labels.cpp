#include "core/metrics/labels.hpp"

namespace gauntlet::metrics {

Result<LabelSets> LabelSets::sized(std::size_t n_items, std::int64_t n_labels) {
  if (n_labels < 1 || n_labels > kMaxLabels) {
    return fail(ErrorCode::kInvalid, "{} labels; allowed: 1 to {}", n_labels, kMaxLabels);
  }
  LabelSets sets;
  sets.n_ = static_cast<std::int64_t>(n_items);
  sets.n_labels_ = n_labels;
  sets.n_words_ = (n_labels + 63) / 64;
  sets.words_.assign(n_items * static_cast<std::size_t>(sets.n_words_), 0);
  return sets;
}

tl::unexpected<Error> LabelSets::bad_value(std::int64_t item, std::int64_t label, double value) {
  return fail(ErrorCode::kInvalid, "label value {} at row {}, column {}; allowed: 0 and 1", value, item,
              label);
}

Result<LabelSets> LabelSets::from_classes(std::span<const std::int64_t> classes, std::int64_t n_labels,
                                          std::int64_t first_row) {
  GAUNTLET_TRY(LabelSets sets, sized(classes.size(), n_labels));
  for (std::int64_t item = 0; item < sets.n_; ++item) {
    const std::int64_t label = classes[static_cast<std::size_t>(item)];
    if (label < 0 || label >= n_labels) {
      return fail(ErrorCode::kInvalid, "class {} at row {}; allowed: 0 to {}", label, first_row + item,
                  n_labels - 1);
    }
    sets.add(item, label);
  }
  return sets;
}

}  // namespace gauntlet::metrics
