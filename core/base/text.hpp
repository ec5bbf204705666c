// Small text helpers shared by every message a person reads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet {

/// The known name closest to `word` (edit distance at most a third of its length, at least 1), if any.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word,
                                                      std::span<const std::string> known);

/// "unknown <what> 'pdg'; did you mean 'pgd'? (known: none, pgd)"
[[nodiscard]] std::string unknown_name_message(std::string_view what, std::string_view word,
                                               std::span<const std::string> known);

/// Reads "8/255", "0.05", "1e-3", "3". Errors (kInvalid) show the text.
[[nodiscard]] Result<double> parse_real(std::string_view text);

/// "1 job", "2 jobs"
[[nodiscard]] std::string count_of(std::size_t n, std::string_view singular);

/// "4m 10s", "0.3s", "2h 5m"
[[nodiscard]] std::string human_duration(double seconds);

/// "812 bytes", "1.2 MiB", "3.4 GiB"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// Reads "500", "512MB", "1.5 GiB", "20g". Errors (kInvalid) show the text.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);
/// Reads "90s", "15m", "36h", "30d", "8w" as seconds. Errors (kInvalid) show the text.
[[nodiscard]] Result<double> parse_age(std::string_view text);

}  // namespace gauntlet
