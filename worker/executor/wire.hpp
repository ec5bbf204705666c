// The executor's side of its socket: frames, read and written with blocking calls.
// Thread safety: one thread reads; writing may happen from any thread.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "core/proto/frame.hpp"

namespace gauntlet::worker {

class Wire {
 public:
  /// `fd` stays the caller's.
  explicit Wire(int fd) : fd_(fd) {}

  /// The next frame, waiting for it; nothing at the end of the stream.
  [[nodiscard]] Result<std::optional<proto::Frame>> receive();
  /// Gives the frame to the socket before it returns: what a process said before it died has been said.
  [[nodiscard]] Status send(const proto::Frame& frame);

 private:
  int fd_;
  proto::FrameReader reader_;
  std::mutex writing_;
  std::string outgoing_;
};

}  // namespace gauntlet::worker
