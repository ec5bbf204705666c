// What queries find before an attack, after it, and after a defense, as one sheet a person can look at.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/data/prepared_set.hpp"
#include "core/draw/sheet.hpp"
#include "core/registry/entry.hpp"

namespace gauntlet::sheets {

inline constexpr std::size_t kRetrieved = 10;

/// One ranking of the retrieval set for each query.
struct Retrieval {
  std::string heading;                 ///< "before the attack", "after PGD", "after drfgd"
  const artifacts::Artifact* queries;  ///< of encode jobs
  const artifacts::Artifact* items;
  bool is_attacked = false;  ///< the queries are the crafted ones
};

struct RetrievalSubject {
  Modality queries = Modality::kImage;
  const artifacts::Artifact* crafted = nullptr;  ///< of a craft job; null: no query was attacked
  std::vector<Retrieval> retrievals;             ///< at least one
  std::vector<std::int64_t> rows;                ///< queries to show, as rows of the data set
  std::vector<std::string> notes;                ///< sentences for the end of the sheet
};

/// A retrieved item.
struct Hit {
  std::int64_t row = 0;       ///< of the data set
  std::int64_t distance = 0;  ///< Hamming
  bool is_relevant = false;   ///< shares a label with the query
};

/// The `n` items nearest to each wanted query row; equal distances in the order of the retrieval set (ties
/// `stable`). Errors: kInvalid (a row that is no query), kCorrupt (codes that do not fit the set).
[[nodiscard]] Result<std::vector<std::vector<Hit>>> nearest(const artifacts::Artifact& queries,
                                                            const artifacts::Artifact& items,
                                                            const data::PreparedSet& set,
                                                            std::span<const std::int64_t> rows,
                                                            std::size_t n = kRetrieved);

/// Errors: those of `nearest`; kInvalid (a set of image features).
[[nodiscard]] Result<draw::Sheet> retrieval_sheet(const RetrievalSubject& subject,
                                                  const data::PreparedSet& set, std::string title,
                                                  const draw::Lettering& lettering);

}  // namespace gauntlet::sheets
