#include "worker/executor/wire.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gauntlet::worker {
namespace {

constexpr std::size_t kFlushBytes = std::size_t{64} << 10;

}  // namespace

Result<std::optional<proto::Frame>> Wire::receive() {
  char block[std::size_t{64} << 10];
  while (true) {
    GAUNTLET_TRY(std::optional<proto::Frame> frame, reader_.next());
    if (frame) return frame;
    GAUNTLET_CHECK_OK(flush());
    const ssize_t got = ::recv(fd_, block, sizeof block, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(ErrorCode::kIo, "cannot read from the agent: {}", std::strerror(errno));
    if (got == 0) return std::optional<proto::Frame>();
    reader_.feed(std::string_view(block, static_cast<std::size_t>(got)));
  }
}

Status Wire::send(const proto::Frame& frame) {
  const std::lock_guard lock(mutex_);
  GAUNTLET_CHECK_OK(proto::append_frame(frame, outgoing_));
  return outgoing_.size() >= kFlushBytes ? flush_locked() : Status();
}

Status Wire::flush() {
  const std::lock_guard lock(mutex_);
  return flush_locked();
}

Status Wire::flush_locked() {
  std::string_view rest = outgoing_;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(ErrorCode::kIo, "cannot write to the agent: {}", std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  outgoing_.clear();
  return {};
}

}  // namespace gauntlet::worker
