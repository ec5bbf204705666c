// HDF5 files, and MAT v7.3 files as MATLAB writes them, through libhdf5.
#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace gauntlet::testing_support {

/// How an array is stored.
struct Hdf5Storage {
  std::vector<hsize_t> chunk = {};
  bool deflate = false;
  std::string matlab_class = {};
};

class Hdf5Writer {
 public:
  explicit Hdf5Writer(std::filesystem::path path, bool as_matlab = false)
      : path_(std::move(path)), as_matlab_(as_matlab) {
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (as_matlab) H5Pset_userblock(creation, 512);
    file_ = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT);
    EXPECT_GE(file_, 0);
    H5Pclose(creation);
  }
  ~Hdf5Writer() { close(); }
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  void close() {
    if (file_ < 0) return;
    H5Fclose(file_);
    file_ = -1;
    if (!as_matlab_) return;
    std::string header = "MATLAB 7.3 MAT-file, made by a test";
    header.resize(124, ' ');
    header += std::string("\x00\x02IM", 4);
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
  }

  /// `dims` in C order.
  template <class T>
  void add(const std::string& name, const std::vector<hsize_t>& dims, const std::vector<T>& values,
           const Hdf5Storage& storage = {}) {
    const hid_t data = create(name, type_of<T>(), dims, storage);
    EXPECT_GE(H5Dwrite(data, type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    H5Dclose(data);
  }

  /// Chars as MATLAB has them: u16, sides reversed.
  void add_chars(const std::string& name, const std::vector<std::string>& rows) {
    std::size_t length = 0;
    for (const std::string& row : rows) length = std::max(length, row.size());
    std::vector<std::uint16_t> units;
    for (std::size_t letter = 0; letter < length; ++letter) {
      for (const std::string& row : rows)
        units.push_back(letter < row.size() ? static_cast<std::uint8_t>(row[letter]) : std::uint8_t{' '});
    }
    add<std::uint16_t>(name, {length, rows.size()}, units, {.matlab_class = "char"});
  }

  /// A MATLAB cell array of size 1 x n.
  void add_cells(const std::string& name, const std::vector<std::vector<std::string>>& cells) {
    if (H5Lexists(file_, "#refs#", H5P_DEFAULT) <= 0)
      H5Gclose(H5Gcreate2(file_, "#refs#", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    std::vector<hobj_ref_t> references(cells.size());
    for (std::size_t cell = 0; cell < cells.size(); ++cell) {
      const std::string inner = "#refs#/" + name + std::to_string(cell);
      add_chars(inner, cells[cell]);
      H5Rcreate(&references[cell], file_, inner.c_str(), H5R_OBJECT, -1);
    }
    const hid_t data = create(name, H5T_STD_REF_OBJ, {cells.size(), 1}, {.matlab_class = "cell"});
    H5Dwrite(data, H5T_STD_REF_OBJ, H5S_ALL, H5S_ALL, H5P_DEFAULT, references.data());
    H5Dclose(data);
  }

  /// h5py's strings of any length.
  void add_strings(const std::string& name, const std::vector<const char*>& strings) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    const hid_t data = create(name, type, {strings.size()}, {});
    H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, strings.data());
    H5Dclose(data);
    H5Tclose(type);
  }

  /// Declared, never written.
  void declare(const std::string& name, hid_t type, const std::vector<hsize_t>& dims,
               const Hdf5Storage& storage = {}) {
    H5Dclose(create(name, type, dims, storage));
  }

  [[nodiscard]] hid_t file() const { return file_; }

 private:
  template <class T>
  static hid_t type_of() {
    if constexpr (std::same_as<T, std::uint8_t>) return H5T_NATIVE_UINT8;
    if constexpr (std::same_as<T, std::uint16_t>) return H5T_NATIVE_UINT16;
    if constexpr (std::same_as<T, std::int32_t>) return H5T_NATIVE_INT32;
    if constexpr (std::same_as<T, float>) return H5T_NATIVE_FLOAT;
    if constexpr (std::same_as<T, double>) return H5T_NATIVE_DOUBLE;
  }

  hid_t create(const std::string& name, hid_t type, const std::vector<hsize_t>& dims,
               const Hdf5Storage& storage) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (!storage.chunk.empty())
      H5Pset_chunk(creation, static_cast<int>(storage.chunk.size()), storage.chunk.data());
    if (storage.deflate) H5Pset_deflate(creation, 6);
    const hid_t data = H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    EXPECT_GE(data, 0);
    const std::string& matlab = storage.matlab_class;
    if (as_matlab_ && !matlab.empty()) {
      const hid_t text = H5Tcopy(H5T_C_S1);
      H5Tset_size(text, matlab.size());
      const hid_t scalar = H5Screate(H5S_SCALAR);
      const hid_t attribute = H5Acreate2(data, "MATLAB_class", text, scalar, H5P_DEFAULT, H5P_DEFAULT);
      H5Awrite(attribute, text, matlab.data());
      H5Aclose(attribute);
      H5Sclose(scalar);
      H5Tclose(text);
    }
    H5Pclose(creation);
    H5Sclose(space);
    return data;
  }

  std::filesystem::path path_;
  bool as_matlab_;
  hid_t file_ = -1;
};

}  // namespace gauntlet::testing_support
