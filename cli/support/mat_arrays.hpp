// Arrays of MATLAB's and HDF5's files as .npy files, so that everything else reads one format.
#pragma once

#include <filesystem>

#include "core/base/result.hpp"

namespace gauntlet::cli {

/// Owns the folder of the converted files. Move-only.
class MatArrays {
 public:
  [[nodiscard]] static Result<MatArrays> make();
  MatArrays(MatArrays&& other) noexcept;
  MatArrays& operator=(MatArrays&&) = delete;
  ~MatArrays();

  /// A .npy file as it is; "file.mat:array" as a float32 .npy file with the rows MATLAB shows. The array may
  /// be left out where the file has one. Errors: kNotFound; kInvalid: no numbers, more than two sides,
  /// several arrays and none named.
  [[nodiscard]] Result<std::filesystem::path> as_npy(const std::filesystem::path& written) const;

 private:
  explicit MatArrays(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace gauntlet::cli
