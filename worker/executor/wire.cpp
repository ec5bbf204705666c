#include "worker/executor/wire.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gauntlet::worker {
Result<std::optional<proto::Frame>> Wire::receive() {
  char block[std::size_t{64} << 10];
  while (true) {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, reader_.next());
    if (frame) return frame;
    const ssize_t got = ::recv(fd_, block, sizeof block, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::kIo, "cannot read from the agent: {}", std::strerror(errno));
    if (got == 0) return std::optional<proto::Frame>();
    reader_.feed(std::string_view(block, static_cast<std::size_t>(got)));
  }
}

Status Wire::send(const proto::Frame& frame) {
  const std::lock_guard lock(writing_);
  outgoing_.clear();
  GAUNTLET_CHECK_OK(proto::append_frame(frame, outgoing_));
  std::string_view rest = outgoing_;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(ErrorCode::kIo, "cannot write to the agent: {}", std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

}  // namespace gauntlet::worker
