// How many wrong tokens an address may try.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/clock.hpp"

namespace gauntlet::coordinator {

struct TokenLimits {
  std::uint32_t free_failures = 10;  ///< wrong tokens of an address that cost nothing
  Milliseconds window{60000};        ///< without a wrong token for so long, an address starts afresh
  Milliseconds first_pause{100};     ///< before the next Hello is looked at; doubles with every wrong token
  Milliseconds longest_pause{2000};  ///< below the 5 s a client waits for its welcome
  std::uint32_t max_waiting = 16;    ///< connections of an address that wait at once
  std::size_t max_addresses = 4096;  ///< counted at once; the least guilty is forgotten first
};

}  // namespace gauntlet::coordinator
