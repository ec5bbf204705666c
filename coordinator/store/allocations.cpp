#include "coordinator/store/allocations.hpp"

#include "core/base/json.hpp"
#include "core/db/connection.hpp"
#include "core/db/transaction.hpp"

namespace gauntlet::store {
namespace {

Status save(db::Connection& connection, const alloc::QueueRow& row) {
  GAUNTLET_TRY(db::Statement * insert,
               connection.cached("INSERT INTO alloc_queues (queue_id, tag, spec, state, reason, created_ms) "
                                 "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (queue_id) DO UPDATE SET state = "
                                 "excluded.state, reason = excluded.reason"));
  return insert->run_with(row.id, row.tag, alloc::to_json(row.spec).dump(), static_cast<int>(row.state),
                          row.reason, row.created_ms);
}

Status save(db::Connection& connection, const alloc::AllocationRow& row) {
  GAUNTLET_TRY(db::Statement * insert,
               connection.cached(
                   "INSERT INTO allocations (allocation_id, queue_id, batch_id, state, message, had_workers, "
                   "failed, asked_ms, started_ms, ended_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                   "ON CONFLICT (allocation_id) DO UPDATE SET batch_id = excluded.batch_id, state = "
                   "excluded.state, message = excluded.message, had_workers = excluded.had_workers, failed "
                   "= excluded.failed, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms"));
  return insert->run_with(row.id, row.queue, row.batch_id, static_cast<int>(row.state), row.message,
                          row.had_workers, row.failed, row.asked_ms, row.started_ms, row.ended_ms);
}

template <class Id>
Id id_at(const db::Statement& row, int column) {
  return Id{static_cast<std::uint64_t>(row.integer(column))};
}

Status load_queues(db::Connection& connection, alloc::Rows& rows) {
  GAUNTLET_TRY(
      db::Statement * read,
      connection.cached("SELECT queue_id, tag, spec, state, reason, created_ms FROM alloc_queues WHERE "
                        "state < 3 ORDER BY queue_id"));
  while (true) {
    GAUNTLET_TRY(const bool is_row, read->step());
    if (!is_row) return {};
    alloc::QueueRow row;
    row.id = id_at<alloc::QueueId>(*read, 0);
    row.tag = read->text(1);
    GAUNTLET_TRY(const Json spec,
                 parse_json(read->text(2), fmt::format("queue {} of allocations", row.id.value)));
    GAUNTLET_TRY(row.spec, alloc::queue_spec_from_json(spec));
    row.state = static_cast<alloc::QueueState>(read->integer(3));
    row.reason = read->text(4);
    row.created_ms = read->integer(5);
    rows.queues.push_back(std::move(row));
  }
}

Status load_live(db::Connection& connection, alloc::Rows& rows) {
  GAUNTLET_TRY(
      db::Statement * read,
      connection.cached("SELECT allocation_id, queue_id, batch_id, state, message, had_workers, failed, "
                        "asked_ms, started_ms FROM allocations WHERE state < 4 ORDER BY allocation_id"));
  while (true) {
    GAUNTLET_TRY(const bool is_row, read->step());
    if (!is_row) return {};
    alloc::AllocationRow row;
    row.id = id_at<alloc::AllocationId>(*read, 0);
    row.queue = id_at<alloc::QueueId>(*read, 1);
    row.batch_id = read->text(2);
    row.state = static_cast<alloc::AllocationState>(read->integer(3));
    row.message = read->text(4);
    row.had_workers = read->integer(5) != 0;
    row.failed = read->integer(6) != 0;
    row.asked_ms = read->integer(7);
    row.started_ms = read->integer(8);
    rows.allocations.push_back(std::move(row));
  }
}

}  // namespace

Status save_allocations(JobStore& store, std::span<const alloc::Transition> transitions) {
  db::Connection& connection = store.connection();
  GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(connection));
  for (const alloc::Transition& transition : transitions) {
    GAUNTLET_CHECK_OK(std::visit([&](const auto& row) { return save(connection, row); }, transition));
  }
  return transaction.commit();
}

Result<alloc::Rows> load_allocations(JobStore& store) {
  db::Connection& connection = store.connection();
  alloc::Rows rows;
  GAUNTLET_CHECK_OK(load_queues(connection, rows));
  GAUNTLET_CHECK_OK(load_live(connection, rows));
  GAUNTLET_TRY(const std::int64_t queue, connection.integer("SELECT max(queue_id) FROM alloc_queues"));
  GAUNTLET_TRY(const std::int64_t allocation,
               connection.integer("SELECT max(allocation_id) FROM allocations"));
  rows.last_queue = alloc::QueueId{static_cast<std::uint64_t>(queue)};
  rows.last_allocation = alloc::AllocationId{static_cast<std::uint64_t>(allocation)};
  return rows;
}

}  // namespace gauntlet::store
