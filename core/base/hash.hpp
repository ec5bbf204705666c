// SHA-256 of bytes and files, and the 64-bit mixing that random streams start from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet {

using Digest = std::array<std::uint8_t, 32>;

/// Lower-case hexadecimal, 64 characters.
[[nodiscard]] std::string to_hex(const Digest& digest);
/// Reads 64 hexadecimal characters.
[[nodiscard]] Result<Digest> digest_from_hex(std::string_view hex);

[[nodiscard]] Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] Digest sha256(std::string_view text);
/// Streams the file in blocks; errors: kNotFound, kIo, with the path.
[[nodiscard]] Result<Digest> sha256_file(const std::filesystem::path& path);

/// SHA-256 fed piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(std::span<const std::byte> bytes);
  [[nodiscard]] Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gauntlet
