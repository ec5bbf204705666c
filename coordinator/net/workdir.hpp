// The work folder as the coordinator uses it: one coordinator at a time, its token, where it listens.
// Thread safety: free functions; a WorkdirLock belongs to one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::coordinator {

/// coordinator.lock of a work folder, held until destroyed (by the kernel, however the process ends).
/// Move-only.
class WorkdirLock {
 public:
  /// Errors: kRefused when another process holds it (names its pid), kIo, kNoSpace.
  [[nodiscard]] static Result<WorkdirLock> take(const std::filesystem::path& workdir);
  WorkdirLock(WorkdirLock&& other) noexcept;
  WorkdirLock& operator=(WorkdirLock&& other) noexcept;
  WorkdirLock(const WorkdirLock&) = delete;
  WorkdirLock& operator=(const WorkdirLock&) = delete;
  ~WorkdirLock();

 private:
  explicit WorkdirLock(int file) : file_(file) {}
  int file_ = -1;
};

/// Reads <workdir>/token, or creates it (64 random hexadecimal digits, readable by its owner only).
/// Errors: kRefused when others may read it, kIo.
[[nodiscard]] Result<std::string> own_token(const std::filesystem::path& workdir);

/// Says in coordinator.json where this process listens.
[[nodiscard]] Status write_address(const std::filesystem::path& workdir, const std::string& host,
                                   std::uint16_t port);
/// Removes coordinator.json, so that nobody tries a port where nobody listens.
void remove_address(const std::filesystem::path& workdir);

}  // namespace gauntlet::coordinator
