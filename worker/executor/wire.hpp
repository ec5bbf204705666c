// The executor's side of its socket: frames, read and written with blocking calls.
// Thread safety: one thread reads; writing may happen from any thread.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "core/proto/frame.hpp"
#include "worker/executor/attempt_board.hpp"

namespace gauntlet::worker {

/// How long answers may wait for others, so that a few of them wake the agent once.
inline constexpr std::chrono::milliseconds kAnswerPause{4};

class Wire {
 public:
  /// `fd` stays the caller's; so does `board`, null for none.
  explicit Wire(int fd, AttemptBoard* board = nullptr) : fd_(fd), board_(board) {}

  /// The next frame; nothing at the end of the stream. Before it waits for one, it sends what is held.
  [[nodiscard]] Result<std::optional<proto::Frame>> receive();
  /// Gives the frame to the socket before it returns: what a process said before it died has been said.
  [[nodiscard]] Status send(const proto::Frame& frame);
  /// Sends the frame with the next ones, or when the first of them has been held for kAnswerPause. Meanwhile
  /// it is on the board; without one, or when that is full, it is sent now.
  [[nodiscard]] Status hold(const proto::Frame& frame);
  /// Sends what is held.
  [[nodiscard]] Status flush();

 private:
  [[nodiscard]] Status send_outgoing();

  int fd_;
  AttemptBoard* board_;
  proto::FrameReader reader_;
  std::mutex writing_;
  std::string outgoing_;  ///< not given to the socket yet
  std::chrono::steady_clock::time_point held_since_;
};

}  // namespace gauntlet::worker
