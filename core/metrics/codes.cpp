#include "core/metrics/codes.hpp"

namespace gauntlet::metrics {

Result<PackedCodes> PackedCodes::sized(std::size_t n_values, std::int64_t per_row, std::int64_t bits) {
  if (bits < 1 || bits > kMaxCodeBits) {
    return fail(ErrorCode::kInvalid, "codes of {} bits; allowed: 1 to {}", bits, kMaxCodeBits);
  }
  if (n_values % static_cast<std::size_t>(per_row) != 0) {
    return fail(ErrorCode::kInvalid, "{} values do not make rows of {}", n_values, per_row);
  }
  PackedCodes codes;
  codes.n_ = static_cast<std::int64_t>(n_values) / per_row;
  codes.bits_ = bits;
  codes.n_words_ = (bits + 63) / 64;
  codes.words_.assign(static_cast<std::size_t>(codes.n_ * codes.n_words_), 0);
  return codes;
}

Result<PackedCodes> PackedCodes::from_packed(std::span<const std::uint8_t> bytes, std::int64_t bits,
                                             std::int64_t first_row) {
  const std::int64_t per_row = (bits + 7) / 8;
  GAUNTLET_TRY(PackedCodes codes, sized(bytes.size(), per_row < 1 ? 1 : per_row, bits));
  const int used_bits = static_cast<int>(bits - 8 * (per_row - 1));  // of the last byte
  std::size_t at = 0;
  for (std::int64_t item = 0; item < codes.n_; ++item) {
    std::uint64_t* row = codes.words_.data() + item * codes.n_words_;
    for (std::int64_t byte = 0; byte < per_row; ++byte, ++at) {
      if (byte == per_row - 1 && (bytes[at] >> used_bits) != 0) {
        return fail(ErrorCode::kInvalid,
                    "packed code of row {} has a bit set beyond bit {}; are these codes of {} bits?",
                    first_row + item, bits - 1, bits);
      }
      row[byte / 8] |= std::uint64_t{bytes[at]} << (8 * (byte % 8));
    }
  }
  return codes;
}

std::vector<std::uint8_t> PackedCodes::to_bytes() const {
  const std::int64_t per_row = (bits_ + 7) / 8;
  std::vector<std::uint8_t> bytes;
  bytes.reserve(static_cast<std::size_t>(n_ * per_row));
  for (std::int64_t item = 0; item < n_; ++item) {
    const std::span<const std::uint64_t> words = row(item);
    for (std::int64_t byte = 0; byte < per_row; ++byte) {
      bytes.push_back(
          static_cast<std::uint8_t>(words[static_cast<std::size_t>(byte / 8)] >> (8 * (byte % 8))));
    }
  }
  return bytes;
}

}  // namespace gauntlet::metrics
