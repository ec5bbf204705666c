// A dataset entry: turns its sources into a prepared folder (see prepared_set.hpp).
// One more dataset = one file in this folder, ending in `constinit const DatasetEntry <name>_entry{…};`, and
// one line in datasets.def.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/registry/registry.hpp"

namespace gauntlet::data {

/// Told the share done, in [0,1], and what is being done.
using ProgressFn = std::function<void(double fraction, std::string_view phase)>;

struct DatasetEntry {
  EntryInfo about;
  /// Identity of the sources this config reads, e.g. a hash over their hashes; computed by the client before
  /// planning. Fields that only say where files are carry `.location = true` in their rule. Errors: kNotFound
  /// with the missing package and its apt-get line.
  Result<std::string> (*content_id)(const Json& config);
  /// Writes the prepared folder's files into `folder` (exists, empty or `is_unfinished`). Same config, same
  /// bytes, any thread count, any interruptions.
  Status (*prepare)(const Json& config, const std::filesystem::path& folder, int n_threads,
                    const ProgressFn& progress);
};

[[nodiscard]] const Registry<DatasetEntry>& dataset_registry();

/// Name of the file that an unfinished prepared folder holds: with it, preparing the same goes on.
inline constexpr std::string_view kJournalName = "prepare.journal";
[[nodiscard]] bool is_unfinished(const std::filesystem::path& folder);

}  // namespace gauntlet::data
