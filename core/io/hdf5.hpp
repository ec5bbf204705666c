// HDF5 files, MATLAB's v7.3 among them, through libhdf5. Links to other files, external and virtual storage
// are not followed, filter plugins are not loaded, and the sizes a file declares are compared with what it
// stores. libhdf5 keeps global state: one thread of the process at a time.
#pragma once

#include "core/io/container.hpp"

namespace gauntlet::io {

/// Errors: kNotFound, kIo; kCorrupt with libhdf5's own words.
[[nodiscard]] Result<std::unique_ptr<Container>> open_hdf5(const std::filesystem::path& path);

}  // namespace gauntlet::io
