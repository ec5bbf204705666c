// What fits of many sweeps into one status reply. Thread safety: a pure function.
#pragma once

#include <cstddef>

#include "schemas/protocol.pb.h"

namespace gauntlet::coordinator {

/// Drops sweeps from the front, where the oldest are, until the rest has at most `max_bytes` in a frame.
inline void keep_newest(google::protobuf::RepeatedPtrField<proto::SweepStatus>& sweeps,
                        std::size_t max_bytes) {
  constexpr std::size_t kAround = 10;  // greatest tag and length of one element
  std::size_t n_bytes = 0;
  int first = sweeps.size();
  while (first > 0) {
    n_bytes += sweeps[first - 1].ByteSizeLong() + kAround;
    if (n_bytes > max_bytes) break;
    --first;
  }
  sweeps.DeleteSubrange(0, first);
}

}  // namespace gauntlet::coordinator
