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

  /// The next frame, waiting for it; nothing at the end of the stream. Flushes before it waits.
  [[nodiscard]] Result<std::optional<proto::Frame>> receive();
  /// Queues a frame; it leaves with the next flush, or when enough of them wait.
  [[nodiscard]] Status send(const proto::Frame& frame);
  [[nodiscard]] Status flush();

 private:
  [[nodiscard]] Status flush_locked();

  int fd_;
  proto::FrameReader reader_;
  std::mutex mutex_;
  std::string outgoing_;
};

}  // namespace gauntlet::worker
