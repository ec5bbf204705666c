// The work folder as the coordinator uses it: one coordinator at a time, its token, where it listens.
// Thread safety: free functions; a WorkdirLock belongs to one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::coordinator {

/// coordinator.lock of a work folder and <database>.lock beside its database, held until destroyed (by the
/// kernel, however the process ends): a database may lie elsewhere, where another work folder reaches it too.
/// Move-only.
class WorkdirLock {
 public:
  /// `purpose`: who takes it, for those who are refused meanwhile. `database`: empty = <workdir>/gauntlet.db.
  /// Errors: kRefused when another process holds one of them (names its pid and purpose), kIo, kNoSpace.
  [[nodiscard]] static Result<WorkdirLock> take(const std::filesystem::path& workdir,
                                                std::string_view purpose = "a coordinator",
                                                const std::filesystem::path& database = {});
  WorkdirLock(WorkdirLock&& other) noexcept;
  WorkdirLock& operator=(WorkdirLock&& other) noexcept;
  WorkdirLock(const WorkdirLock&) = delete;
  WorkdirLock& operator=(const WorkdirLock&) = delete;
  ~WorkdirLock();

 private:
  WorkdirLock(int folder, int database) : folder_(folder), database_(database) {}
  int folder_ = -1;
  int database_ = -1;
};

/// Who holds the lock of a work folder ("process 1234, a coordinator"); nothing when nobody does. Changes
/// nothing.
[[nodiscard]] std::optional<std::string> holder_of_workdir(const std::filesystem::path& workdir);

/// Reads <workdir>/token, or creates it (64 random hexadecimal digits, readable by its owner only).
/// Errors: kRefused when others may read it, kIo.
[[nodiscard]] Result<std::string> own_token(const std::filesystem::path& workdir);

/// Leaves a file of a name never used before in <workdir>/tmp, and removes those of earlier coordinators. Who
/// sees it shares the folder; a copy of the folder, or another one of the same path, has none. Returns its
/// path within the work folder. Errors: kIo, kNoSpace.
[[nodiscard]] Result<std::string> mark_folder(const std::filesystem::path& workdir);

/// Says in coordinator.json where this process listens, and where it serves HTTP ("127.0.0.1:9100"; "" =
/// nowhere), and the fingerprint of its certificate ("" = it does not speak TLS). `everywhere`: it listens on
/// all addresses, so that other machines reach it by this machine's name.
[[nodiscard]] Status write_address(const std::filesystem::path& workdir, const std::string& host,
                                   std::uint16_t port, const std::string& http = "",
                                   const std::string& tls_fingerprint = "", bool everywhere = false);
/// Removes coordinator.json, so that nobody tries a port where nobody listens.
void remove_address(const std::filesystem::path& workdir);

}  // namespace gauntlet::coordinator
