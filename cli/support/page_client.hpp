// A browser's side of the coordinator's page: one connection that stays open and asks for one address after
// the other. Thread safety: one thread at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "core/base/result.hpp"

namespace gauntlet::cli {

class PageClient {
 public:
  /// Connects to the page of the coordinator that serves a work folder. Errors: kUnreachable (none serves it,
  /// or it has no page); those of reading coordinator.json and the token.
  [[nodiscard]] static Result<PageClient> connect(const std::filesystem::path& workdir);
  PageClient(PageClient&&) noexcept;
  PageClient& operator=(PageClient&&) noexcept;
  ~PageClient();

  /// The body of a path with its query, e.g. "/api/status?sweep=1". Errors: kUnreachable; kInternal (a status
  /// other than 200, with the beginning of what it said).
  [[nodiscard]] Result<std::string> get(const std::string& target);

 private:
  struct Connection;
  explicit PageClient(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace gauntlet::cli
