// The rows of a custom set as they go into a prepared folder: looked through once for what is wrong, then
// filled.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/detail/custom_set.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/io/picture.hpp"

namespace gauntlet::data::detail {

/// What looking through all rows tells.
struct CustomScan {
  bool text_is_binary = false;  ///< all 0 or 1
  double feature_mean = 0;      ///< over all features of all rows
  double feature_std = 1;
  std::int64_t n_odd_labels = 0;  ///< label values other than 0, 1 and -1; above 0 counts as 1
  /// Source row → its place in the set; rows of the training set that are rows of the retrieval set too are
  /// in neither twice.
  std::vector<std::int64_t> rows;
  std::vector<std::uint8_t> split;  ///< per row of `rows`; empty when the source does not say
  std::vector<std::string> warnings;
};

/// Errors (kInvalid), with array, row and value: text or features that are not finite, a label that is NaN,
/// labels that are class numbers, query rows that are in the retrieval set too.
[[nodiscard]] Result<CustomScan> scan_rows(const CustomSet& set, bool standardize,
                                           const ProgressFn& progress);

struct FillOptions {
  io::PictureShape shape;  ///< of pictures from files
  bool standardize = false;
};

/// u8 [rows of the scan, n_labels] of 0 and 1. Errors: those of reading.
[[nodiscard]] Result<std::vector<std::uint8_t>> label_rows(const CustomSet& set, const CustomScan& scan);

/// Fills the rows of `scan.rows`. Set and scan outlive it.
[[nodiscard]] RowFiller custom_filler(const CustomSet& set, const CustomScan& scan,
                                      const FillOptions& options);

}  // namespace gauntlet::data::detail
