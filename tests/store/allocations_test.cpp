// Allocations in the store: what is saved is what a restart reads.
#include "coordinator/store/allocations.hpp"

#include <gmock/gmock.h>

#include "core/db/connection.hpp"

namespace gauntlet::store {
namespace {

using alloc::AllocationId;
using alloc::AllocationRow;
using alloc::AllocationState;
using alloc::QueueId;
using alloc::QueueRow;
using alloc::QueueState;
using testing::ElementsAre;

QueueRow queue_row(std::uint64_t id) {
  QueueRow row;
  row.id = QueueId{id};
  row.spec.system = "slurm";
  row.spec.partition = "gpu";
  row.spec.time_s = 3600;
  row.spec.extra = {"--account=a b"};
  row.tag = "0a1b2c";
  row.created_ms = 17;
  return row;
}

AllocationRow allocation_row(std::uint64_t id, std::uint64_t queue, AllocationState state) {
  AllocationRow row;
  row.id = AllocationId{id};
  row.queue = QueueId{queue};
  row.state = state;
  row.asked_ms = 18;
  return row;
}

TEST(StoredAllocations, ReadBackAsTheyWereSaved) {
  JobStore store = *JobStore::open_in_memory();
  EXPECT_TRUE(load_allocations(store)->queues.empty());
  const QueueRow queue = queue_row(1);
  AllocationRow running = allocation_row(4, 1, AllocationState::kAsking);
  const AllocationRow ended = allocation_row(5, 1, AllocationState::kEnded);
  ASSERT_TRUE(save_allocations(store, std::vector<alloc::Transition>{queue, running, ended}));
  running.state = AllocationState::kRunning;
  running.batch_id = "812";
  running.message = "why";
  running.had_workers = true;
  running.started_ms = 19;
  ASSERT_TRUE(save_allocations(store, std::vector<alloc::Transition>{running}));
  const auto rows = load_allocations(store);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_THAT(rows->queues, ElementsAre(queue));
  EXPECT_THAT(rows->allocations, ElementsAre(running));
  EXPECT_EQ(rows->last_queue, QueueId{1});
  EXPECT_EQ(rows->last_allocation, AllocationId{5});  // numbers are never given twice
}

TEST(StoredAllocations, RemovedQueuesAreKeptButNotLookedAfter) {
  JobStore store = *JobStore::open_in_memory();
  QueueRow queue = queue_row(3);
  queue.state = QueueState::kPaused;
  queue.reason = "no";
  ASSERT_TRUE(save_allocations(store, std::vector<alloc::Transition>{queue}));
  EXPECT_THAT(load_allocations(store)->queues, ElementsAre(queue));
  queue.state = QueueState::kRemoved;
  ASSERT_TRUE(save_allocations(store, std::vector<alloc::Transition>{queue}));
  EXPECT_TRUE(load_allocations(store)->queues.empty());
  EXPECT_EQ(load_allocations(store)->last_queue, QueueId{3});
  EXPECT_EQ(*store.connection().integer("SELECT count(*) FROM alloc_queues"), 1);
}

TEST(StoredAllocations, ADescriptionThatCannotBeReadIsNamed) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(save_allocations(store, std::vector<alloc::Transition>{queue_row(1)}));
  ASSERT_TRUE(store.connection().execute("UPDATE alloc_queues SET spec = '{}'"));
  const auto rows = load_allocations(store);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, ErrorCode::kCorrupt);
}

// One statement that fails takes the others of its decision back.
TEST(StoredAllocations, ADecisionIsSavedWholeOrNotAtAll) {
  JobStore store = *JobStore::open_in_memory();
  const AllocationRow orphan = allocation_row(1, 99, AllocationState::kQueued);  // its queue is not there
  EXPECT_FALSE(save_allocations(store, std::vector<alloc::Transition>{queue_row(1), orphan}));
  EXPECT_TRUE(load_allocations(store)->queues.empty());
}

}  // namespace
}  // namespace gauntlet::store
