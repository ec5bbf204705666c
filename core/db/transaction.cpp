#include "core/db/transaction.hpp"

namespace gauntlet::db {

Result<Transaction> Transaction::begin(Connection& connection) {
  GAUNTLET_TRY(Statement * statement, connection.cached("BEGIN IMMEDIATE"));
  const Status begun = statement->run();
  Transaction transaction(connection);  // an interrupted BEGIN may have begun: it is rolled back with this
  GAUNTLET_CHECK_OK(begun);
  return transaction;
}

Transaction::~Transaction() { roll_back(); }

void Transaction::roll_back() {
  if (connection_ == nullptr) return;
  // SQLite ends the transaction by itself on some errors (disk full); then there is nothing left to undo. A
  // rollback itself can only fail in a way that leaves the old state on disk, so its error says nothing new.
  if (connection_->in_transaction()) static_cast<void>(connection_->execute("ROLLBACK"));
  connection_ = nullptr;
}

Status Transaction::commit() {
  Result<Statement*> statement = connection_->cached("COMMIT");
  Status status = statement ? (*statement)->run() : Status(fail(statement.error()));
  if (!status) {
    roll_back();
    return status;
  }
  connection_ = nullptr;
  return {};
}

}  // namespace gauntlet::db
