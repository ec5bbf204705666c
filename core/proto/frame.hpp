// Frames on the wire: 4 bytes of length, little endian, then one serialised Frame. No sockets here.
// Thread safety: free functions may be called from any thread; a FrameReader belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::proto {

/// Both sides of a connection must name the same number in Hello and Welcome.
inline constexpr std::uint32_t kProtocolVersion = 2;
inline constexpr std::size_t kFrameHeaderBytes = 4;
/// Greatest payload of one frame; larger data is sent in chunks. Whoever has shown the token makes the
/// coordinator buffer this much.
inline constexpr std::size_t kMaxFrameBytes = std::size_t{16} << 20;
/// Greatest Outcome: the rest of the frame is for what agent and batch put around it.
inline constexpr std::size_t kMaxOutcomeBytes = kMaxFrameBytes - (std::size_t{64} << 10);
/// Greatest texts of one job. A lease has more around them than the chunk in which they were handed in.
inline constexpr std::size_t kMaxJobBytes = kMaxFrameBytes / 2;

/// Appends header and payload to `out`. Errors (kInvalid): larger than kMaxFrameBytes; `out` is then as
/// before.
[[nodiscard]] Status append_frame(const Frame& frame, std::string& out);
[[nodiscard]] Result<std::string> encode_frame(const Frame& frame);
/// Reads a payload (without its header). Errors (kCorrupt): not a Frame, or a Frame without a body.
[[nodiscard]] Result<Frame> decode_payload(std::string_view payload);

/// "submit_begin", "heartbeat", …: the name of the message inside; "empty" when there is none.
[[nodiscard]] std::string_view name_of(Frame::BodyCase body);

/// The answer that refuses request `id`.
[[nodiscard]] Frame failure_frame(std::uint64_t id, const Error& error);
/// The error a Failure carries; a code this program does not know becomes kInternal.
[[nodiscard]] Error error_of(const Failure& failure);
/// The code with this number; numbers this program does not know become kInternal.
[[nodiscard]] ErrorCode error_code_from(std::uint32_t number);

/// Cuts a byte stream into frames, however the bytes arrive.
class FrameReader {
 public:
  explicit FrameReader(std::size_t max_bytes = kMaxFrameBytes) : max_bytes_(max_bytes) {}

  void feed(std::string_view bytes);
  /// The next whole frame; nothing when more bytes are needed. Errors: a length above the limit (kInvalid), a
  /// payload that is no Frame (kCorrupt); the stream cannot be read on after an error, and every later call
  /// repeats it.
  [[nodiscard]] Result<std::optional<Frame>> next();
  /// Bytes fed and not yet returned as frames.
  [[nodiscard]] std::size_t buffered() const { return buffer_.size() - at_; }

 private:
  std::size_t max_bytes_;
  std::string buffer_;
  std::size_t at_ = 0;  ///< start of the first unread byte in buffer_
  std::optional<Error> broken_;
};

}  // namespace gauntlet::proto
