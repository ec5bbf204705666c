// Types of HDF5 datasets as ours.
#pragma once

#include <hdf5.h>

#include <optional>
#include <string>

#include "core/io/dtype.hpp"

namespace gauntlet::io::detail {

/// Integers and floating-point numbers of 1 to 8 bytes, h5py's booleans (an enum of i8).
[[nodiscard]] std::optional<DType> dtype_of_type(hid_t type);

/// MATLAB's class of a dataset; empty when it has none.
[[nodiscard]] std::string matlab_class(hid_t dataset);

}  // namespace gauntlet::io::detail
