#include <array>

#include "core/data/dataset.hpp"

namespace gauntlet::data {

#define GAUNTLET_DATASET(stem) extern const DatasetEntry stem##_entry;
#include "core/data/datasets.def"
#undef GAUNTLET_DATASET

const Registry<DatasetEntry>& dataset_registry() {
  static constexpr std::array kEntries = {
#define GAUNTLET_DATASET(stem) &stem##_entry,
#include "core/data/datasets.def"
#undef GAUNTLET_DATASET
  };
  static constexpr Registry<DatasetEntry> kRegistry("dataset", kEntries);
  return kRegistry;
}

bool is_unfinished(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / kJournalName, ignored);
}

}  // namespace gauntlet::data
