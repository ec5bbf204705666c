// A file without a name, for what is too large for memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// Move-only; goes away with the object. Thread safety: reads and writes of different places from any thread.
class OwnedFile {
 public:
  /// `folder` empty: the system's temporary folder. Errors: kIo; kNoSpace when `n_bytes` do not fit, before
  /// anything is written.
  [[nodiscard]] static Result<OwnedFile> temporary(const std::filesystem::path& folder, std::int64_t n_bytes);
  OwnedFile() = default;
  OwnedFile(OwnedFile&& other) noexcept;
  OwnedFile& operator=(OwnedFile&& other) noexcept;
  ~OwnedFile();

  [[nodiscard]] Status write_at(std::int64_t offset, std::span<const std::byte> bytes) const;
  [[nodiscard]] Status read_at(std::int64_t offset, std::span<std::byte> bytes) const;

 private:
  int descriptor_ = -1;
  std::filesystem::path folder_;
};

}  // namespace gauntlet::data::detail
