// A write transaction: all of it or nothing.
#pragma once

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::db {

/// Takes the write lock when it begins (so it never fails half-way for want of it) and rolls back unless
/// committed. The connection must outlive it; one at a time per connection. Move-only.
class Transaction {
 public:
  /// Errors: kRefused (another program writes), kIo, kNoSpace.
  [[nodiscard]] static Result<Transaction> begin(Connection& connection);
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  /// On disk when it returns without an error; on an error nothing of the transaction is.
  [[nodiscard]] Status commit();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  void roll_back();
  Connection* connection_;
};

}  // namespace gauntlet::db
