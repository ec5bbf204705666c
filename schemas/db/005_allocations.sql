-- Allocations of a batch system that the coordinator asks for: what is wanted, and what was asked for.
CREATE TABLE alloc_queues (
  queue_id   INTEGER PRIMARY KEY,
  tag        TEXT    NOT NULL,             -- six hexadecimal digits in the names of its batch jobs
  spec       TEXT    NOT NULL,             -- JSON: system, partition, time_s, nodes, cpus, gpus, memory_mb, max, …
  state      INTEGER NOT NULL,             -- 0 active, 1 paused, 2 removing, 3 removed
  reason     TEXT    NOT NULL DEFAULT '',  -- why it is paused
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE allocations (
  allocation_id INTEGER PRIMARY KEY,
  queue_id      INTEGER NOT NULL REFERENCES alloc_queues,
  batch_id      TEXT    NOT NULL DEFAULT '',  -- as the batch system calls it; '' = not known (yet)
  state         INTEGER NOT NULL,             -- 0 asking, 1 queued, 2 running, 3 ending, 4 ended
  message       TEXT    NOT NULL DEFAULT '',  -- why it waits, is given back or has ended
  had_workers   INTEGER NOT NULL DEFAULT 0,   -- an agent of it has come
  failed        INTEGER NOT NULL DEFAULT 0,   -- held against the queue
  asked_ms      INTEGER NOT NULL,
  started_ms    INTEGER NOT NULL DEFAULT 0,
  ended_ms      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX allocations_live ON allocations (queue_id) WHERE state < 4;
