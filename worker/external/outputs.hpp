// The folder of outputs of one run of an external entry, checked before anything of it is used.
// Thread safety: pure functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/metrics/codes.hpp"
#include "core/spec/external.hpp"
#include "core/spec/result_row.hpp"
#include "worker/external/inputs.hpp"

namespace gauntlet::external {

/// That the folder holds the named files and nothing else: no link, no folder, no device. Errors (kInvalid)
/// name what is wrong.
[[nodiscard]] Status check_folder(const std::filesystem::path& folder, const std::vector<std::string>& names);

/// inputs.npy: float32, of the shape of what was given, finite, inside the range of inputs and, of an attack,
/// inside its budget; `options` are the entry's. Errors (kInvalid): what is wrong, where, and what is
/// allowed.
[[nodiscard]] Result<std::vector<float>> read_changed(const std::filesystem::path& folder, const Given& given,
                                                      const spec::ExternalEntry& entry, const Json& options);

/// refusal_scores.npy of a defense that refuses queries: f32 [n], finite. Errors (kInvalid).
[[nodiscard]] Result<std::vector<float>> read_refusal_scores(const std::filesystem::path& folder,
                                                             const Given& given);

/// codes.npy: [n, bits] of any number type; a bit is 1 where the value is > 0. Errors (kInvalid).
[[nodiscard]] Result<metrics::PackedCodes> read_codes(const std::filesystem::path& folder,
                                                      const Given& given);

/// rows.json, [] when it is not there. A metric's own row has its name; other names start with "<entry>:".
/// Errors (kInvalid).
[[nodiscard]] Result<std::vector<spec::ResultRow>> read_rows(const std::filesystem::path& folder,
                                                             const Given& given,
                                                             const spec::ExternalEntry& entry);

}  // namespace gauntlet::external
