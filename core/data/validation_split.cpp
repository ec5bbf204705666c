#include "core/data/validation_split.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/random.hpp"
#include "core/data/detail/prepared_writer.hpp"
#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kSplitNowhere = 3;

/// n of the items, in the order of the draw: the first steps of a Fisher-Yates shuffle.
std::vector<std::int64_t> sample(std::vector<std::int64_t> items, std::size_t n, std::uint64_t seed) {
  RandomStream stream(seed);
  for (std::size_t at = 0; at < n; ++at) {
    std::swap(items[at], items[at + stream.below(static_cast<std::uint32_t>(items.size() - at))]);
  }
  items.resize(n);
  return items;
}

/// The same file at another place; one on another file system, or on one without links, is copied.
Status link_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (!error) return {};
  fs::copy_file(from, to, error);
  if (!error) return {};
  return fail(system_error(error.value(), "copy a file to", to));
}

}  // namespace

Status write_validation_split(const fs::path& from, const fs::path& to, std::string_view dataset_id,
                              const ValidationChoice& choice) {
  GAUNTLET_TRY(const PreparedSet set, PreparedSet::open(from));
  const std::vector<std::int64_t>& train = set.rows(Part::kTrain);
  std::vector<std::int64_t> outside;
  std::ranges::set_difference(set.rows(Part::kRetrieval), train, std::back_inserter(outside));
  const auto n = static_cast<std::size_t>(choice.n_items);
  if (choice.n_items < 1 || n > outside.size()) {
    return fail(ErrorCode::kInvalid,
                "a validation split of {} items was asked for; allowed: 1 to {}, the items of the retrieval "
                "set outside train",
                choice.n_items, outside.size());
  }
  if (n == outside.size() && train.empty())
    return fail(ErrorCode::kInvalid, "a validation split of all {} items leaves nothing to retrieve", n);

  std::vector<std::uint8_t> split(static_cast<std::size_t>(set.n_items()), kSplitNowhere);
  const auto put = [&](const std::vector<std::int64_t>& rows, std::uint8_t part) {
    for (const std::int64_t row : rows) split[static_cast<std::size_t>(row)] = part;
  };
  put(outside, detail::kSplitRetrieval);
  put(train, detail::kSplitTrain);
  put(sample(outside, n, purpose_seed(choice.seed, dataset_id, "validation")), detail::kSplitQuery);

  const char* pictures = set.feature_dim() > 0 ? "image_features.npy" : "images.npy";
  for (const char* array : {pictures, "text.npy", "labels.npy"})
    GAUNTLET_CHECK_OK(link_file(from / array, to / array));
  GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(to / "split.npy", {set.n_items()}, split));

  Json about = set.about();
  about["validation"] = {{"items", choice.n_items}, {"seed", choice.seed}, {"of", dataset_id}};
  about["counts"] = {{"items", set.n_items()},
                     {"query", n},
                     {"train", train.size()},
                     {"retrieval", train.size() + outside.size() - n}};
  if (about.contains("hashes"))
    about["hashes"]["split"] = to_hex(sha256(std::as_bytes(std::span<const std::uint8_t>(split))));
  return write_file_atomic(to / "dataset.json", about.dump(2) + "\n");
}

}  // namespace gauntlet::data
