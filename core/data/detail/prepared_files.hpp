// The files of a prepared folder as files: which there are, what they hash to.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"

namespace gauntlet::data::detail {

/// Names of the format's files that exist in `folder`, in byte order.
[[nodiscard]] std::vector<std::string_view> files_of(const std::filesystem::path& folder);

/// Takes the bytes of so many whole rows.
using RowsFn = std::function<Status(std::span<const std::byte> rows, std::int64_t n_rows)>;

/// Calls `take` with the rows of a .npy file piece by piece, in order: an array of any size is passed through
/// in about 32 MiB of memory. Errors: those of io::read_npy and of `take`.
[[nodiscard]] Status pass_through(const std::filesystem::path& file, const RowsFn& take);

/// Checks values that opening the set of `folder` does not look at: 0/1 texts are 0 or 1, real texts and
/// features are finite. Errors (kInvalid) name the file, the row and the value.
[[nodiscard]] Status check_values(const PreparedSet& set, const std::filesystem::path& folder);

/// Calls `take` with the bytes piece by piece, in order, and lets the pages of each go afterwards: an array
/// of any size is passed through in little memory. `bytes` lies in a read-only mapping, as bytes always do,
/// or, when it says so, maybe in a copy, as wider numbers may; pieces are multiples of `unit_bytes`.
void for_each_piece(std::span<const std::byte> bytes, std::size_t unit_bytes,
                    const std::function<void(std::span<const std::byte>)>& take, bool may_be_copy = false);

}  // namespace gauntlet::data::detail
