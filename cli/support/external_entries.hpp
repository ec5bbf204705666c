// Descriptors of external entries, from the places where a person names them.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "core/spec/external.hpp"

namespace gauntlet::cli {

using ExternalEntries = std::vector<std::shared_ptr<const spec::ExternalEntry>>;

/// A descriptor, or those of a folder: its *.yaml files that have the key gauntlet_external, by name. Errors:
/// those of read_external; kNotFound for a folder without any.
[[nodiscard]] Result<ExternalEntries> read_descriptors(const std::filesystem::path& path);

/// The built-in catalog with what the sweep lists under `external`; paths as find_beside takes them.
[[nodiscard]] Result<spec::Catalog> catalog_of(std::string_view sweep_text,
                                               const std::filesystem::path& sweep);

}  // namespace gauntlet::cli
