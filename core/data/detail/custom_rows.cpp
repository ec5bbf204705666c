#include "core/data/detail/custom_rows.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/base/hash.hpp"

namespace gauntlet::data::detail {
namespace {

/// A row of the set: its part, and its place there.
struct Place {
  const RowsPart* part = nullptr;
  std::int64_t row = 0;
};

Place place_of(const CustomSet& set, std::int64_t row) {
  for (const RowsPart& part : set.parts) {
    if (row < part.n_rows) return {&part, row};
    row -= part.n_rows;
  }
  return {};
}

/// Values of one kind of array over all rows of all parts.
Status for_each_row(const CustomSet& set, std::optional<ItemArray> RowsPart::*array, const auto& take) {
  std::vector<float> values;
  for (const RowsPart& part : set.parts) {
    if (!(part.*array)) continue;
    values.resize(static_cast<std::size_t>((part.*array)->item_size()));
    for (std::int64_t row = 0; row < part.n_rows; ++row) {
      GAUNTLET_CHECK_OK((part.*array)->read(row, std::span(values)));
      GAUNTLET_CHECK_OK(take(part, row, values));
    }
  }
  return {};
}

Status check_finite(const std::vector<float>& values, const std::string& name, std::int64_t row) {
  const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (wrong == values.end()) return {};
  return fail(ErrorCode::kInvalid, "{}: row {} holds {} at {}; finite numbers are needed", name, row, *wrong,
              wrong - values.begin());
}

Status scan_labels(const CustomSet& set, CustomScan& scan) {
  float largest = 0;
  GAUNTLET_CHECK_OK(
      for_each_row(set, &RowsPart::labels,
                   [&](const RowsPart& part, std::int64_t row, const std::vector<float>& values) -> Status {
                     for (std::size_t label = 0; label < values.size(); ++label) {
                       const float value = values[label];
                       if (std::isnan(value)) {
                         return fail(ErrorCode::kInvalid,
                                     "{}: row {} holds NaN at label {}; above 0 is 1, everything else 0",
                                     part.label_name, row, label);
                       }
                       if (value != 0 && value != 1 && value != -1) ++scan.n_odd_labels;
                       largest = std::max(largest, value);
                     }
                     return {};
                   }));
  if (set.n_labels == 1 && largest > 1) {
    return fail(ErrorCode::kInvalid, "{} holds one number a row, up to {}: a class, not a row of 0 and 1",
                set.parts.front().label_name, largest);
  }
  if (scan.n_odd_labels > 0) {
    scan.warnings.push_back(fmt::format(
        "{} label values are not 0, 1 or -1; above 0 counts as 1, the rest as 0", scan.n_odd_labels));
  }
  return {};
}

Status scan_text(const CustomSet& set, CustomScan& scan) {
  scan.text_is_binary = true;
  return for_each_row(
      set, &RowsPart::text,
      [&](const RowsPart& part, std::int64_t row, const std::vector<float>& values) -> Status {
        GAUNTLET_CHECK_OK(check_finite(values, part.text_name, row));
        scan.text_is_binary = scan.text_is_binary && std::ranges::all_of(values, [](float value) {
                                return value == 0 || value == 1;
                              });
        return {};
      });
}

/// One mean and one deviation over the whole matrix, in two passes.
Status scan_features(const CustomSet& set, bool standardize, CustomScan& scan) {
  double sum = 0;
  double n = 0;
  const auto add = [&](const RowsPart& part, std::int64_t row, const std::vector<float>& values) -> Status {
    const Status finite = check_finite(values, "features beside " + part.label_name, row);
    for (const float value : values) sum += value;
    n += static_cast<double>(values.size());
    return finite;
  };
  GAUNTLET_CHECK_OK(for_each_row(set, &RowsPart::images, add));
  if (!standardize) return {};
  scan.feature_mean = sum / n;
  double squares = 0;
  const auto add_square = [&](const RowsPart&, std::int64_t, const std::vector<float>& values) -> Status {
    for (const float value : values) squares += (value - scan.feature_mean) * (value - scan.feature_mean);
    return {};
  };
  GAUNTLET_CHECK_OK(for_each_row(set, &RowsPart::images, add_square));
  scan.feature_std = std::sqrt(squares / n);
  if (scan.feature_std > 0) return {};
  return fail(ErrorCode::kInvalid, "all features are {}; they cannot be standardised", scan.feature_mean);
}

/// What makes two rows the same item: the picture's path, or every byte of picture, text and labels.
Result<Digest> identity_of(const CustomSet& set, const Place& place) {
  const RowsPart& part = *place.part;
  if (!part.pictures.empty()) return sha256(part.pictures[static_cast<std::size_t>(place.row)]);
  Sha256 hash;
  const auto add = [&]<class T>(const ItemArray& array, T) -> Status {
    std::vector<T> values(static_cast<std::size_t>(array.item_size()));
    GAUNTLET_CHECK_OK(array.read(place.row, std::span(values)));
    hash.update(std::as_bytes(std::span(values)));
    return {};
  };
  if (part.images)
    GAUNTLET_CHECK_OK(set.holds_pictures ? add(*part.images, std::uint8_t{}) : add(*part.images, float{}));
  if (part.text) GAUNTLET_CHECK_OK(add(*part.text, float{}));
  GAUNTLET_CHECK_OK(add(*part.labels, float{}));
  return hash.finish();
}

/// Training rows are marked where they are in the retrieval set; those that are not join it. Query rows must
/// not be there.
Status join_parts(const CustomSet& set, CustomScan& scan) {
  std::map<Digest, std::size_t> retrieval;  // → place in scan.rows
  std::int64_t n_joined = 0;
  for (const std::uint8_t wanted : {kSplitRetrieval, kSplitTrain, kSplitQuery}) {
    std::int64_t first = 0;
    for (const RowsPart& part : set.parts) {
      for (std::int64_t row = 0; part.split == wanted && row < part.n_rows; ++row) {
        GAUNTLET_TRY(const Digest identity, identity_of(set, {&part, row}));
        const auto found = retrieval.find(identity);
        if (wanted == kSplitQuery && found != retrieval.end()) {
          return fail(ErrorCode::kInvalid,
                      "query and retrieval overlap: query row {} ({}) is in the {} set too; queries must not "
                      "be there",
                      row,
                      part.pictures.empty() ? part.label_name : part.pictures[static_cast<std::size_t>(row)],
                      scan.split[found->second] == kSplitTrain ? "training" : "retrieval");
        }
        if (wanted == kSplitTrain && found != retrieval.end()) {
          scan.split[found->second] = kSplitTrain;
          continue;
        }
        n_joined += wanted == kSplitTrain ? 1 : 0;
        retrieval.emplace(identity, scan.rows.size());
        scan.rows.push_back(first + row);
        scan.split.push_back(wanted);
        if (wanted == kSplitQuery) retrieval.erase(identity);
      }
      first += part.n_rows;
    }
  }
  if (n_joined > 0) {
    scan.warnings.push_back(fmt::format(
        "{} training rows are not in the retrieval set of the source; they are part of it here", n_joined));
  }
  return {};
}

class Filler {
 public:
  Filler(const CustomSet& set, const CustomScan& scan, const FillOptions& options)
      : set_(&set), scan_(&scan), options_(options) {}

  Result<RowOutcome> operator()(std::int64_t row, const RowOut& out) {
    const Place place = place_of(*set_, scan_->rows[static_cast<std::size_t>(row)]);
    GAUNTLET_TRY(RowOutcome outcome, fill_image(place, out));
    if (!outcome.dropped.empty()) return outcome;
    values_.resize(out.labels.size());
    GAUNTLET_CHECK_OK(place.part->labels->read(place.row, std::span(values_)));
    for (std::size_t label = 0; label < values_.size(); ++label)
      out.labels[label] = values_[label] > 0 ? 1 : 0;
    GAUNTLET_CHECK_OK(fill_text(place, out));
    return outcome;
  }

 private:
  Result<RowOutcome> fill_image(const Place& place, const RowOut& out) {
    const RowsPart& part = *place.part;
    if (part.images && set_->holds_pictures) {
      GAUNTLET_CHECK_OK(part.images->read(place.row, out.image));
      return RowOutcome{};
    }
    if (part.images) {
      GAUNTLET_CHECK_OK(part.images->read(place.row, out.features));
      if (options_.standardize) {
        for (float& value : out.features)
          value = static_cast<float>((value - scan_->feature_mean) / scan_->feature_std);
      }
      return RowOutcome{};
    }
    const std::string& name = part.pictures[static_cast<std::size_t>(place.row)];
    const auto read = io::read_picture(set_->picture_root / name, options_.shape, out.image);
    if (!read) {
      if (read.error().code == ErrorCode::kOutOfMemory || read.error().code == ErrorCode::kNoSpace)
        return fail(read.error());
      return RowOutcome{.dropped = read.error().message};
    }
    if (read->n_warnings == 0) return RowOutcome{};
    return RowOutcome{.remark = fmt::format("{}: {} ({} in all)", name, read->first, read->n_warnings)};
  }

  Status fill_text(const Place& place, const RowOut& out) {
    const RowsPart& part = *place.part;
    if (set_->text_is_labels) {
      std::ranges::copy(out.labels, out.text.begin());
    } else if (!part.text) {
      for (const std::uint16_t word : part.words[static_cast<std::size_t>(place.row)]) out.text[word] = 1;
    } else if (scan_->text_is_binary) {
      GAUNTLET_CHECK_OK(part.text->read(place.row, out.text));
    } else {
      GAUNTLET_CHECK_OK(part.text->read(place.row, out.text_f32));
    }
    return {};
  }

  const CustomSet* set_;
  const CustomScan* scan_;
  FillOptions options_;
  std::vector<float> values_;
};

}  // namespace

Result<CustomScan> scan_rows(const CustomSet& set, bool standardize, const ProgressFn& progress) {
  CustomScan scan;
  if (progress) progress(0, "checking labels and texts");
  GAUNTLET_CHECK_OK(scan_labels(set, scan));
  GAUNTLET_CHECK_OK(scan_text(set, scan));
  if (!set.holds_pictures) GAUNTLET_CHECK_OK(scan_features(set, standardize, scan));
  if (set.parts.size() > 1) {
    GAUNTLET_CHECK_OK(join_parts(set, scan));
    return scan;
  }
  scan.split = set.parts.front().row_split;
  scan.rows.resize(static_cast<std::size_t>(set.n_rows()));
  for (std::size_t row = 0; row < scan.rows.size(); ++row) scan.rows[row] = static_cast<std::int64_t>(row);
  return scan;
}

Result<std::vector<std::uint8_t>> label_rows(const CustomSet& set, const CustomScan& scan) {
  const auto n_labels = static_cast<std::size_t>(set.n_labels);
  std::vector<std::uint8_t> labels;
  labels.reserve(scan.rows.size() * n_labels);
  std::vector<float> values(n_labels);
  for (const std::int64_t row : scan.rows) {
    const Place place = place_of(set, row);
    GAUNTLET_CHECK_OK(place.part->labels->read(place.row, std::span(values)));
    for (const float value : values) labels.push_back(value > 0 ? 1 : 0);
  }
  return labels;
}

RowFiller custom_filler(const CustomSet& set, const CustomScan& scan, const FillOptions& options) {
  return Filler(set, scan, options);
}

}  // namespace gauntlet::data::detail
