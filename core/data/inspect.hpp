// Looking at data: facts, statistics and contact sheets of prepared folders and array files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::data {

/// Facts about a prepared folder (dataset.json and the arrays' shapes), one .npy file (type, shape, least,
/// largest and mean value, NaN count), or any file or folder that `custom` reads (detail/source_facts.hpp):
/// what is in it and what it is taken for. `map`: as custom's. Errors: kNotFound, kCorrupt, kInvalid.
[[nodiscard]] Result<Json> inspect(const std::filesystem::path& path, const std::string& map = {});

/// Per-set numbers: {"format", "n_items", "counts": {query, train, retrieval}, "labels_per_item",
/// "label_frequency": {name: items}, "n_distinct_label_vectors", "n_unlabelled", "words_per_item" (0/1
/// texts), "n_empty_text", "n_empty_text_queries", "chance_map", "chance_map_min", "chance_map_max"}. The
/// chance MAP is the mean over queries of the share of the retrieval set that has a label in common with the
/// query: what a random ranking scores.
[[nodiscard]] Json stats(const PreparedSet& set);

/// Recomputes what dataset.json says of the arrays (hashes, counts, values 0/1, finite numbers) and, for sets
/// whose numbers are published, those. Returns {"format", "ok", "checks": [{"name", "ok", "detail"}]}.
/// Errors: the folder cannot be opened.
[[nodiscard]] Result<Json> verify(const std::filesystem::path& folder);

/// One object per registered dataset: {"name", "summary", "needs", "available", "detail"}; `detail` is the
/// sentence that says what is missing.
[[nodiscard]] Json list_datasets();

struct SheetOptions {
  std::int64_t n_columns = 5;
  std::int64_t cell_px =
      192;               ///< least side of a picture on the sheet; pictures are enlarged by a whole factor
  bool captions = true;  ///< row number, labels and words under each picture, if a text font is installed
};

/// Writes a contact sheet of the given rows. Errors: kInvalid (a row outside the set, a set without pictures,
/// no rows), kIo.
[[nodiscard]] Status write_sheet(const PreparedSet& set, std::span<const std::int64_t> rows,
                                 const std::filesystem::path& path, const SheetOptions& options = {});

/// The same for a file of f32 [n, 3, H, W] in [0,1] (crafted or purified pictures) or u8 [n, H, W, 3].
/// Values outside [0,1] are clamped.
[[nodiscard]] Status sheet_of_npy(const std::filesystem::path& npy, std::span<const std::int64_t> rows,
                                  const std::filesystem::path& path, const SheetOptions& options = {});

/// The same for a file or folder that `custom` reads, pictures as its axes are taken (or `map` says).
[[nodiscard]] Status sheet_of_source(const std::filesystem::path& source, const std::string& map,
                                     std::span<const std::int64_t> rows, const std::filesystem::path& path,
                                     const SheetOptions& options = {});

}  // namespace gauntlet::data
