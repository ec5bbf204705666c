// What a file or folder that people pass around holds, for `gauntlet data inspect`.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// {"format", "kind": "source", "files": [{"file", "container", "arrays": [{"name", "type", "shape" (as
/// stored, C order), "matlab_size", "chunk", "values": {"min", "max", "mean", "n_not_finite", "n_looked_at"},
/// "n_texts", "first_texts", "refused"}]}], "other_files"} and, when the source is understood, "family",
/// "n_rows", "roles": {role: {"array", "axes", "as_meant": {letter: length}}}, "axis_test", "warnings"; else
/// "problem": why not. At most 2^26 values of an array are looked at. Errors: those of open_sources.
[[nodiscard]] Result<Json> source_facts(const std::filesystem::path& path, const std::string& map);

}  // namespace gauntlet::data::detail
