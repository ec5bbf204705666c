// MATLAB's MAT-files of version 5 (what MATLAB calls v6 and v7; what scipy.io.savemat writes).
//
// An own reader, because variables are larger than memory may be: they are read in parts from the file, and
// compressed ones are unpacked beside the disk, not in memory. Every size is compared with the file before
// anything is allocated.
#pragma once

#include "core/io/container.hpp"

namespace gauntlet::io {

/// Errors: kNotFound, kIo; kInvalid for a v7.3 file (it is HDF5) and for big-endian files; kCorrupt.
[[nodiscard]] Result<std::unique_ptr<Container>> open_mat5(const std::filesystem::path& path,
                                                           const std::filesystem::path& scratch = {});

}  // namespace gauntlet::io
