// Codes and labels from .npy files of people's own making. Query files are read whole; retrieval files stay
// mapped and are read piece by piece.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/io/npy.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval.hpp"

namespace gauntlet::cli {

/// What is worth a word about codes: exact zeros, bits that never change.
struct CodeFacts {
  std::int64_t n = 0;
  std::int64_t n_zeros = 0;
  bool has_negative = false;
  std::vector<std::uint64_t> any;  ///< [n_words] bits set in some row
  std::vector<std::uint64_t> all;  ///< [n_words] bits set in every row

  void add(const metrics::PackedCodes& codes);
  /// Bits, of `bits`, that are the same in every row.
  [[nodiscard]] std::vector<std::int64_t> constant_bits(std::int64_t bits) const;
};

/// The files of one evaluation, mapped, their shapes and row counts checked. Codes: [n, K] of any integer or
/// float type, bit = value > 0; or, with packed bits, u8 [n, ceil(K / 8)], least significant bit first.
/// Labels: [n, C] of 0 and 1, or [n] with one class (0, 1, …) per row, all files alike; with classes, C is
/// the largest one of all files plus one.
class CodeFiles {
 public:
  struct Paths {
    std::filesystem::path query_codes, retrieval_codes, query_labels, retrieval_labels;
    std::filesystem::path target_labels;  ///< "" for none
    std::int64_t packed_bits = 0;         ///< 0: codes are not packed
  };
  /// Errors: kNotFound, kCorrupt; kInvalid with the file's name, what it holds, what is needed.
  [[nodiscard]] static Result<CodeFiles> open(const Paths& paths);

  [[nodiscard]] std::int64_t n_queries() const { return query_codes_.shape[0]; }
  [[nodiscard]] std::int64_t n_retrieval() const { return retrieval_codes_.shape[0]; }
  [[nodiscard]] std::int64_t n_labels() const { return n_labels_; }  ///< C
  [[nodiscard]] std::int64_t bits() const;                           ///< K

  /// Whole files. Errors (kInvalid): the file's name and the first value that is no code or label.
  [[nodiscard]] Result<metrics::PackedCodes> query_codes() const;
  [[nodiscard]] Result<metrics::LabelSets> query_labels() const;
  [[nodiscard]] Result<metrics::LabelSets> target_labels() const;  ///< there must be some
  [[nodiscard]] bool has_targets() const { return target_labels_.has_value(); }

  /// Rows [first, first + n) of the retrieval files; errors as above. The pages they came from are given back
  /// to the system, so that reading a file of any size keeps little of it in memory.
  [[nodiscard]] Result<metrics::PackedCodes> retrieval_codes(std::int64_t first, std::int64_t n) const;
  [[nodiscard]] Result<metrics::LabelSets> retrieval_labels(std::int64_t first, std::int64_t n) const;

 private:
  [[nodiscard]] Status check_rows(const Paths& paths) const;
  [[nodiscard]] Status count_labels(const Paths& paths);

  io::NpyArray query_codes_, retrieval_codes_, query_labels_, retrieval_labels_;
  std::optional<io::NpyArray> target_labels_;
  std::int64_t packed_bits_ = 0;
  std::int64_t n_labels_ = 0;
};

/// The retrieval side of the files, for a sweep; borrows them. Gathers the facts of its codes on the first
/// one.
class ItemFiles final : public metrics::RetrievalItems {
 public:
  explicit ItemFiles(const CodeFiles& files) : files_(files) {}
  [[nodiscard]] std::int64_t n() const override { return files_.n_retrieval(); }
  [[nodiscard]] std::int64_t bits() const override { return files_.bits(); }
  [[nodiscard]] std::int64_t n_labels() const override { return files_.n_labels(); }
  [[nodiscard]] Result<metrics::ItemRows> rows(std::int64_t first, std::int64_t n,
                                               metrics::ItemScratch& scratch) const override;
  /// After a whole sweep; no thread may be in `rows`.
  [[nodiscard]] const CodeFacts& facts() const { return facts_; }

 private:
  const CodeFiles& files_;
  mutable std::mutex mutex_;
  mutable CodeFacts facts_;  ///< guarded by mutex_
};

}  // namespace gauntlet::cli
