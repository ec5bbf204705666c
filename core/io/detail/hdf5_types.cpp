#include "core/io/detail/hdf5_types.hpp"

#include "core/io/detail/char_rows.hpp"
#include "core/io/detail/hdf5_handle.hpp"

namespace gauntlet::io::detail {

std::optional<DType> dtype_of_type(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  const H5T_class_t type_class = H5Tget_class(type);
  if (type_class == H5T_FLOAT) {
    return size == 2   ? std::optional(DType::kF16)
           : size == 4 ? std::optional(DType::kF32)
           : size == 8 ? std::optional(DType::kF64)
                       : std::nullopt;
  }
  if (type_class != H5T_INTEGER && type_class != H5T_ENUM) return std::nullopt;
  const Hdf5Handle base(type_class == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type), &H5Tclose);
  const bool is_signed = base && H5Tget_sign(base.get()) == H5T_SGN_2;
  switch (size) {
    case 1:
      return is_signed ? DType::kI8 : DType::kU8;
    case 2:
      return is_signed ? DType::kI16 : DType::kU16;
    case 4:
      return is_signed ? DType::kI32 : DType::kU32;
    case 8:
      return is_signed ? DType::kI64 : DType::kU64;
    default:
      return std::nullopt;
  }
}

std::string matlab_class(hid_t dataset) {
  if (H5Aexists(dataset, "MATLAB_class") <= 0) return "";
  const Hdf5Handle attribute(H5Aopen(dataset, "MATLAB_class", H5P_DEFAULT), &H5Aclose);
  if (!attribute) return "";
  const Hdf5Handle type(H5Aget_type(attribute.get()), &H5Tclose);
  const Hdf5Handle space(H5Aget_space(attribute.get()), &H5Sclose);
  if (!type || !space || H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) > 0)
    return "";
  const std::size_t size = H5Tget_size(type.get());
  if (size == 0 || size > 64 || H5Sget_simple_extent_npoints(space.get()) != 1) return "";
  std::string text(size, '\0');
  const Hdf5Handle memory(H5Tcopy(H5T_C_S1), &H5Tclose);
  H5Tset_size(memory.get(), size);
  H5Tset_strpad(memory.get(), H5T_STR_NULLPAD);
  if (H5Aread(attribute.get(), memory.get(), text.data()) < 0) return "";
  return trimmed_end(text);
}

}  // namespace gauntlet::io::detail
