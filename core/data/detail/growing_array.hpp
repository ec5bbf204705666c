// An array file of a folder that is being prepared: rows are appended, the header is written last.
//
// It lies beside its place as <name>.part and is renamed when it is whole. What is in it after an
// interruption is kept: whoever opens it again decides how many rows of it count. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash.hpp"
#include "core/base/result.hpp"
#include "core/io/dtype.hpp"

namespace gauntlet::data::detail {

/// A file descriptor that closes itself. Move-only.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int descriptor) : descriptor_(descriptor) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept;
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept;
  OwnedDescriptor(const OwnedDescriptor&) = delete;
  OwnedDescriptor& operator=(const OwnedDescriptor&) = delete;
  ~OwnedDescriptor();
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// Room for the header of any array with one to four sides.
inline constexpr std::int64_t kArrayHeaderBytes = 128;

class GrowingArray {
 public:
  GrowingArray() = default;  ///< no file
  /// Opens or creates <path>.part; `row_shape` are the sides after the first. A file that had its final name
  /// already gets the other one back.
  [[nodiscard]] static Result<GrowingArray> open(const std::filesystem::path& path, io::DType dtype,
                                                 std::vector<std::int64_t> row_shape);

  [[nodiscard]] std::int64_t row_bytes() const { return row_bytes_; }
  [[nodiscard]] std::int64_t n_rows() const { return n_rows_; }  ///< rows appended or kept

  /// Appends rows; `bytes` is a multiple of row_bytes(). Errors: kNoSpace, kIo, with the final path.
  [[nodiscard]] Status append(std::span<const std::byte> bytes);
  /// The next `n_rows` rows of an earlier run; empty when the file is shorter.
  [[nodiscard]] Result<std::vector<std::byte>> peek(std::int64_t n_rows) const;
  /// Takes rows that `peek` returned as appended.
  void keep(std::span<const std::byte> bytes);
  /// Cuts off whatever lies behind the rows.
  [[nodiscard]] Status cut();

  /// Gives the file its full length at once, so that a full disk is found here and not by a signal.
  [[nodiscard]] Status reserve(std::int64_t n_rows);
  /// Counts rows written past this object (into a mapping) as appended, and reads them for the hash.
  [[nodiscard]] Status adopt(std::int64_t n_rows);

  /// Writes the header and syncs. Returns the SHA-256 of the rows. Afterwards nothing may be appended.
  [[nodiscard]] Result<std::string> seal();
  /// Renames into place.
  [[nodiscard]] Status publish();

  [[nodiscard]] int descriptor() const { return file_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }  ///< the final one
  [[nodiscard]] const std::filesystem::path& part() const { return part_; }

 private:
  std::filesystem::path path_, part_;
  OwnedDescriptor file_;
  io::DType dtype_ = io::DType::kU8;
  std::vector<std::int64_t> row_shape_;
  std::int64_t row_bytes_ = 0;
  std::int64_t n_rows_ = 0;
  std::unique_ptr<Sha256> hash_;
};

}  // namespace gauntlet::data::detail
