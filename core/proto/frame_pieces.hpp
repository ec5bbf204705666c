// A long frame on the wire without a copy of its longest field: a chunk of an artifact is sent from where it
// lies. What arrives is what encode_frame writes. Thread safety: free functions on plain values; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::proto {

struct FramePieces {
  std::string text;        ///< header and payload, but for the field
  std::string_view field;  ///< of the frame, which has to outlive this; empty where none is long
  std::size_t at = 0;      ///< where in the text the field belongs

  /// In the order of the wire; any of them may be empty.
  [[nodiscard]] std::array<std::string_view, 3> in_order() const {
    const std::string_view all = text;
    return {all.substr(0, at), field, all.substr(at)};
  }
  [[nodiscard]] std::size_t size() const { return text.size() + field.size(); }
};

/// Errors (kInvalid): larger than kMaxFrameBytes.
[[nodiscard]] Result<FramePieces> encode_in_pieces(const Frame& frame);

}  // namespace gauntlet::proto
