// A sweep file on its way to jobs: read, checked, expanded.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/spec/expand.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::cli {

struct LoadedSweep {
  std::string text;  ///< the file as written
  std::filesystem::path path;
  spec::Catalog catalog;  ///< built-in entries and those the file lists under `external`
  spec::SweepSpec spec;
  spec::Expansion expansion;
};

/// Everything wrong with the file is printed on stderr, one line each; the error (kInvalid) counts them.
/// Errors: kNotFound, kIo for the file itself.
[[nodiscard]] Result<LoadedSweep> load_sweep(const std::filesystem::path& path);

/// A path written in a sweep file: as seen from here, else from the sweep's folder or the one above it.
/// Errors: kNotFound.
[[nodiscard]] Result<std::filesystem::path> find_beside(const std::string& written,
                                                        const std::filesystem::path& sweep);

/// What the sweep's metric names mean, as the coordinator stores it: {"map": {"unit", "higher_is_better",
/// "targeted"}}.
[[nodiscard]] Json metric_meanings(const std::vector<std::string>& names, const spec::Catalog& catalog);

}  // namespace gauntlet::cli
