// Which array of a source is what, and what its axes are.
//
// Axes are named by letters in the order the array is stored (C order): n items; of pictures h, w, and c for
// RGB or b for BGR channels; of matrices d for whatever an item's numbers are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/data/detail/item_array.hpp"
#include "core/data/detail/source_files.hpp"

namespace gauntlet::data::detail {

enum class Role : std::uint8_t { kImages, kText, kLabels, kSplit, kNames, kCaptions };
/// "images", "text", "labels", "split", "names", "captions": the words of a map.
[[nodiscard]] std::string_view name_of(Role role);

struct Binding {
  ArrayRef array;
  std::string axes;       ///< empty for names and captions
  bool is_given = false;  ///< the axes are the user's, not guessed
};

/// One set of arrays whose rows belong together.
using RoleMap = std::map<Role, Binding>;

/// How the names of families begin whose files are known by their numbers too (known_numbers.hpp).
inline constexpr std::string_view kNFastest = "TA-DCH / EQB2A line (n fastest)";
inline constexpr std::string_view kFeatures = "DADH / CPAH features";
inline constexpr std::string_view kDcmh = "DCMH / SSAH";

/// Row counts that follow from the axes, axes as letters and sizes in words, for people and --json.
struct Family {
  std::string name;  ///< "TA-DCH / EQB2A line (n fastest)", …
  RoleMap roles;
  /// DAPH: the file holds the query, training and retrieval sets apart; `roles` is the retrieval set.
  std::optional<RoleMap> query, train;
};

/// Reads "images=IAll:whcn,text=file.mat#TAll:dn,labels=LAll". Errors (kInvalid) name the part that is wrong
/// and what is there.
[[nodiscard]] Result<RoleMap> parse_map(const SourceFiles& sources, std::string_view text);

/// Finds the roles by keys, types and sizes; what `given` says stands. Errors (kInvalid): nothing fits (all
/// arrays are named), row counts that differ.
[[nodiscard]] Result<Family> detect_family(const SourceFiles& sources, const RoleMap& given);

/// The number of rows that the axes say. Names and captions: 0.
[[nodiscard]] std::int64_t rows_of(const SourceFiles& sources, const Binding& binding);

/// Axes for reading items as [H, W, 3] RGB or as a row of numbers.
[[nodiscard]] ItemAxes item_axes(const Binding& binding);

/// Whether an array with these axes holds pictures.
[[nodiscard]] bool is_picture(const Binding& binding);

}  // namespace gauntlet::data::detail
