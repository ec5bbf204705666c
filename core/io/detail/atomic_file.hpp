// A file written beside its place and renamed into it when complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "core/base/result.hpp"

namespace gauntlet::io::detail {

/// Move-only; going away without `commit` removes what was written. Errors: kNoSpace, kIo, kNotFound, with
/// the path.
class AtomicFile {
 public:
  [[nodiscard]] static Result<AtomicFile> create(const std::filesystem::path& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  [[nodiscard]] Status write(std::span<const std::byte> bytes);
  /// Syncs, closes and renames.
  [[nodiscard]] Status commit();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  AtomicFile(int descriptor, std::filesystem::path path, std::filesystem::path temporary);
  void discard();

  int descriptor_ = -1;
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

}  // namespace gauntlet::io::detail
