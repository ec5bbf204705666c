#include "worker/executor/wire.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gauntlet::worker {

Result<std::optional<proto::Frame>> Wire::receive() {
  char block[std::size_t{64} << 10];
  bool may_wait = false;
  while (true) {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, reader_.next());
    if (frame) return frame;
    const ssize_t got = ::recv(fd_, block, sizeof block, may_wait ? 0 : MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN && !may_wait) {
      GAUNTLET_CHECK_OK(flush());
      may_wait = true;
      continue;
    }
    if (got < 0) return fail(ErrorCode::kIo, "cannot read from the agent: {}", std::strerror(errno));
    if (got == 0) return std::optional<proto::Frame>();
    reader_.feed(std::string_view(block, static_cast<std::size_t>(got)));
  }
}

Status Wire::send(const proto::Frame& frame) {
  const std::lock_guard lock(writing_);
  GAUNTLET_CHECK_OK(proto::append_frame(frame, outgoing_));
  return send_outgoing();
}

Status Wire::hold(const proto::Frame& frame) {
  const std::lock_guard lock(writing_);
  const std::size_t n_before = outgoing_.size();
  GAUNTLET_CHECK_OK(proto::append_frame(frame, outgoing_));
  const auto now = std::chrono::steady_clock::now();
  if (n_before == 0) held_since_ = now;
  if (board_ != nullptr && now - held_since_ < kAnswerPause &&
      board_->keep(std::string_view(outgoing_).substr(n_before)))
    return {};
  return send_outgoing();
}

Status Wire::flush() {
  const std::lock_guard lock(writing_);
  return outgoing_.empty() ? Status() : send_outgoing();
}

Status Wire::send_outgoing() {
  std::string_view rest = outgoing_;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(ErrorCode::kIo, "cannot write to the agent: {}", std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  outgoing_.clear();
  if (board_ != nullptr) board_->forget();
  return {};
}

}  // namespace gauntlet::worker
