// The validation split of a prepared set: what settings may be chosen on, since choosing them on queries
// would tell a method about its test.
//
// Thread safety: a free function; nobody else writes the folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::data {

struct ValidationChoice {
  std::int64_t n_items = 0;  ///< >= 1
  std::uint64_t seed = 0;    ///< draws them
};

/// Writes into the empty folder `to` a prepared folder with the items of that in `from`, in the same rows, in
/// other parts: the query part is a sample without replacement of `n_items` items of the retrieval set
/// outside train, drawn by hash(seed, `dataset_id`, "validation"); the retrieval part is the rest of the
/// retrieval set, so that an item does not retrieve itself; train is what it was; queries are in no part
/// (split.npy: 3). The arrays are hard links where the file system has them, else copies. dataset.json says
/// what was drawn under "validation". Errors (kInvalid): fewer such items than asked for; those of opening
/// and writing.
[[nodiscard]] Status write_validation_split(const std::filesystem::path& from,
                                            const std::filesystem::path& to, std::string_view dataset_id,
                                            const ValidationChoice& choice);

}  // namespace gauntlet::data
