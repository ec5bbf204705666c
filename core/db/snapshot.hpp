// A read transaction: every question asked while it lives sees the same moment, whoever writes meanwhile.
#pragma once

#include <utility>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::db {

/// The connection must outlive it; one at a time per connection. While it lives, the write-ahead log of a
/// busy database grows. Move-only.
class Snapshot {
 public:
  /// Errors: those of reading.
  [[nodiscard]] static Result<Snapshot> open(Connection& connection) {
    GAUNTLET_CHECK_OK(connection.execute("BEGIN"));
    Snapshot snapshot(connection);
    // The moment is that of the first read.
    GAUNTLET_CHECK_OK(connection.integer("SELECT count(*) FROM sqlite_schema"));
    return snapshot;
  }
  Snapshot(Snapshot&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Snapshot& operator=(Snapshot&&) = delete;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() {
    if (connection_ != nullptr) static_cast<void>(connection_->execute("COMMIT"));  // nothing was written
  }

 private:
  explicit Snapshot(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace gauntlet::db
