-- The database of results. docs/database.md explains every table, column and view.
-- Times are milliseconds since 1970-01-01 UTC. Keys and hashes are SHA-256, 32 bytes.

-- ------------------------------------------------------------------ names of numbers

CREATE TABLE job_kinds (kind INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO job_kinds VALUES
  (0, 'prepare'), (1, 'features'), (2, 'train_model'), (3, 'train_attack'), (4, 'craft'), (5, 'train_defense'),
  (6, 'encode'), (7, 'evaluate'), (8, 'explain'), (9, 'command'), (10, 'noop');

CREATE TABLE job_states (state INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO job_states VALUES
  (0, 'waiting'), (1, 'queued'), (2, 'leased'), (3, 'done'), (4, 'failed'), (5, 'blocked'), (6, 'cancelled');

CREATE TABLE outcomes (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO outcomes VALUES
  (0, 'done'), (1, 'internal'), (2, 'invalid'), (3, 'not_found'), (4, 'unreachable'), (5, 'refused'), (6, 'io'),
  (7, 'no_space'), (8, 'corrupt'), (9, 'timed_out'), (10, 'out_of_memory'), (11, 'diverged'), (12, 'collective'),
  (13, 'process_died'), (14, 'lost'), (15, 'stale_lease'), (16, 'interrupted'), (17, 'incomplete'),
  (18, 'jobs_failed');

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('last_lease', 0), ('last_worker', 0);

-- ------------------------------------------------------------------ what was asked for

CREATE TABLE sweeps (
  sweep_id     INTEGER PRIMARY KEY,
  name         TEXT    NOT NULL UNIQUE,
  priority     INTEGER NOT NULL,
  paused       INTEGER NOT NULL DEFAULT 0,
  submitted_ms INTEGER NOT NULL,
  reused       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE spec_revisions (
  sweep_id      INTEGER NOT NULL REFERENCES sweeps,
  revision      INTEGER NOT NULL,
  spec_hash     BLOB    NOT NULL,
  spec_text     TEXT    NOT NULL,
  spec_path     TEXT    NOT NULL,
  code_revision TEXT    NOT NULL,
  metrics       TEXT    NOT NULL,
  submitted_ms  INTEGER NOT NULL,
  PRIMARY KEY (sweep_id, revision)
) STRICT, WITHOUT ROWID;

-- Cells share a few sets of expected metrics instead of each listing its own.
CREATE TABLE cell_metrics (
  metric_set INTEGER NOT NULL,
  metric     TEXT    NOT NULL,
  PRIMARY KEY (metric_set, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE cells (
  cell_id    INTEGER PRIMARY KEY,
  sweep_id   INTEGER NOT NULL REFERENCES sweeps,
  revision   INTEGER NOT NULL,
  metric_set INTEGER NOT NULL,
  dataset    TEXT    NOT NULL,
  model      TEXT    NOT NULL,
  bits       INTEGER NOT NULL,
  defense    TEXT    NOT NULL,
  attack     TEXT    NOT NULL,
  protocol   TEXT    NOT NULL,
  direction  TEXT    NOT NULL,
  variant    TEXT    NOT NULL,
  seed       INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX cells_by_axes ON cells
  (sweep_id, dataset, model, bits, defense, attack, protocol, direction, variant, seed);

-- ------------------------------------------------------------------ jobs

-- What placement looks at; a million jobs share a few dozen of these.
CREATE TABLE job_shapes (
  shape_id  INTEGER PRIMARY KEY,
  kind      INTEGER NOT NULL REFERENCES job_kinds,
  entry     TEXT    NOT NULL,
  version   INTEGER NOT NULL,
  cpus      INTEGER NOT NULL,
  gpus      INTEGER NOT NULL,
  ranks     INTEGER NOT NULL,
  memory_mb INTEGER NOT NULL,
  time_s    INTEGER NOT NULL,
  UNIQUE (kind, entry, version, cpus, gpus, ranks, memory_mb, time_s)
) STRICT;

-- What changes while a job lives; small, since every transition rewrites a row of it.
CREATE TABLE jobs (
  job_id     INTEGER PRIMARY KEY,
  key        BLOB    NOT NULL CHECK (length(key) = 32),
  shape_id   INTEGER NOT NULL REFERENCES job_shapes,
  state      INTEGER NOT NULL REFERENCES job_states,
  attempt    INTEGER NOT NULL DEFAULT 0,
  failures   INTEGER NOT NULL DEFAULT 0,
  lost_count INTEGER NOT NULL DEFAULT 0,
  blocked_by INTEGER REFERENCES jobs,
  code       INTEGER REFERENCES outcomes,
  message    TEXT,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_by_key ON jobs (key);

-- The long texts of a job, which only its lease and curious people read.
CREATE TABLE job_specs (
  job_id    INTEGER PRIMARY KEY REFERENCES jobs,
  title     TEXT NOT NULL,
  canonical TEXT NOT NULL,
  locations TEXT NOT NULL
) STRICT;

CREATE TABLE needs (
  job_id       INTEGER NOT NULL REFERENCES jobs,
  needs_job_id INTEGER NOT NULL REFERENCES jobs,
  PRIMARY KEY (job_id, needs_job_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sweep_jobs (
  sweep_id INTEGER NOT NULL REFERENCES sweeps,
  job_id   INTEGER NOT NULL REFERENCES jobs,
  PRIMARY KEY (sweep_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (role_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE cell_jobs (
  cell_id INTEGER NOT NULL REFERENCES cells,
  job_id  INTEGER NOT NULL REFERENCES jobs,
  role_id INTEGER NOT NULL REFERENCES roles,
  PRIMARY KEY (cell_id, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cell_jobs_by_job ON cell_jobs (job_id);

-- ------------------------------------------------------------------ executions

CREATE TABLE environments (
  environment_id INTEGER PRIMARY KEY,
  hash           BLOB    NOT NULL UNIQUE,
  document       TEXT    NOT NULL,
  revision       TEXT    NOT NULL,
  versions       TEXT    NOT NULL,
  device         TEXT    NOT NULL,
  world_size     INTEGER,
  threads        INTEGER
) STRICT;

CREATE TABLE workers (
  worker_id INTEGER PRIMARY KEY,
  agent_id  TEXT    NOT NULL,
  name      TEXT    NOT NULL,
  cpus      INTEGER NOT NULL,
  memory_mb INTEGER NOT NULL,
  gpus      INTEGER NOT NULL,
  joined_ms INTEGER NOT NULL,
  left_ms   INTEGER,
  reason    TEXT
) STRICT;

CREATE TABLE attempts (
  job_id         INTEGER NOT NULL REFERENCES jobs,
  attempt        INTEGER NOT NULL,
  lease_id       INTEGER NOT NULL,
  worker_id      INTEGER NOT NULL REFERENCES workers,
  gpus           INTEGER NOT NULL,
  started_ms     INTEGER NOT NULL,
  ended_ms       INTEGER,
  code           INTEGER REFERENCES outcomes,
  message        TEXT,
  log            TEXT,
  wall_s         REAL,
  environment_id INTEGER REFERENCES environments,
  manifest       BLOB,
  PRIMARY KEY (job_id, attempt)
) STRICT, WITHOUT ROWID;

-- Attempts that run now.
CREATE TABLE leases (
  lease_id   INTEGER PRIMARY KEY,
  job_id     INTEGER NOT NULL UNIQUE REFERENCES jobs,
  attempt    INTEGER NOT NULL,
  worker_id  INTEGER NOT NULL REFERENCES workers,
  gpus       INTEGER NOT NULL,
  started_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
  event_id INTEGER PRIMARY KEY,
  at_ms    INTEGER NOT NULL,
  kind     TEXT    NOT NULL,
  sweep_id INTEGER REFERENCES sweeps,
  job_id   INTEGER REFERENCES jobs,
  detail   TEXT    NOT NULL
) STRICT;

-- ------------------------------------------------------------------ numbers

-- A name with another unit or direction is another metric: tables refuse to mix them.
CREATE TABLE metrics (
  metric_id        INTEGER PRIMARY KEY,
  name             TEXT    NOT NULL,
  unit             TEXT    NOT NULL,
  higher_is_better INTEGER NOT NULL,
  UNIQUE (name, unit, higher_is_better)
) STRICT;

CREATE TABLE results (
  job_id    INTEGER NOT NULL REFERENCES jobs,
  metric_id INTEGER NOT NULL REFERENCES metrics,
  attempt   INTEGER NOT NULL,
  value     REAL,
  n         INTEGER NOT NULL,
  PRIMARY KEY (job_id, metric_id)
) STRICT, WITHOUT ROWID;

-- Kept apart, so that reading values does not drag thousands of floats along.
CREATE TABLE result_queries (
  job_id    INTEGER NOT NULL REFERENCES jobs,
  metric_id INTEGER NOT NULL REFERENCES metrics,
  per_query BLOB    NOT NULL,
  PRIMARY KEY (job_id, metric_id)
) STRICT;

CREATE TABLE curves (
  job_id  INTEGER NOT NULL REFERENCES jobs,
  name    TEXT    NOT NULL,
  attempt INTEGER NOT NULL,
  x_label TEXT    NOT NULL,
  y_label TEXT    NOT NULL,
  x       BLOB    NOT NULL,
  y       BLOB    NOT NULL,
  PRIMARY KEY (job_id, name)
) STRICT;

-- ------------------------------------------------------------------ public views

CREATE VIEW v_results AS
SELECT
  s.name AS sweep, c.dataset, c.model, c.bits, c.defense, c.attack, c.protocol, c.direction, c.variant, c.seed,
  m.name AS metric, r.value, r.n, m.unit, m.higher_is_better,
  lower(hex(j.key)) AS job_key, r.attempt,
  strftime('%Y-%m-%dT%H:%M:%SZ', a.ended_ms / 1000, 'unixepoch') AS created_at,
  coalesce(e.revision, '') AS revision, coalesce(e.versions, '') AS versions, coalesce(e.device, '') AS device
FROM sweeps s
JOIN cells c ON c.sweep_id = s.sweep_id
JOIN cell_jobs cj ON cj.cell_id = c.cell_id
JOIN results r ON r.job_id = cj.job_id
JOIN metrics m ON m.metric_id = r.metric_id
JOIN jobs j ON j.job_id = r.job_id
JOIN attempts a ON a.job_id = r.job_id AND a.attempt = r.attempt
LEFT JOIN environments e ON e.environment_id = a.environment_id;

CREATE VIEW v_jobs AS
SELECT
  lower(hex(j.key)) AS key, k.name AS kind, st.name AS state, sh.entry, sh.version, sp.title, j.attempt, j.failures,
  j.lost_count, o.name AS outcome, j.message,
  (SELECT lower(hex(b.key)) FROM jobs b WHERE b.job_id = j.blocked_by) AS blocked_by,
  strftime('%Y-%m-%dT%H:%M:%SZ', j.created_ms / 1000, 'unixepoch') AS created_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', j.changed_ms / 1000, 'unixepoch') AS changed_at,
  sh.cpus, sh.gpus, sh.ranks, sh.memory_mb, sh.time_s, sp.canonical AS config, j.job_id
FROM jobs j
JOIN job_specs sp ON sp.job_id = j.job_id
JOIN job_shapes sh ON sh.shape_id = j.shape_id
JOIN job_kinds k ON k.kind = sh.kind
JOIN job_states st ON st.state = j.state
LEFT JOIN outcomes o ON o.code = j.code;

CREATE VIEW v_attempts AS
SELECT
  lower(hex(j.key)) AS job_key, k.name AS kind, sp.title, a.attempt, w.name AS worker,
  CASE WHEN a.ended_ms IS NULL THEN 'running' ELSE o.name END AS outcome, a.message,
  strftime('%Y-%m-%dT%H:%M:%SZ', a.started_ms / 1000, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%SZ', a.ended_ms / 1000, 'unixepoch') AS ended_at,
  a.wall_s, a.log, lower(hex(a.manifest)) AS manifest,
  e.revision, e.versions, e.device, e.world_size, e.threads, a.lease_id
FROM attempts a
JOIN jobs j ON j.job_id = a.job_id
JOIN job_specs sp ON sp.job_id = a.job_id
JOIN job_shapes sh ON sh.shape_id = j.shape_id
JOIN job_kinds k ON k.kind = sh.kind
JOIN workers w ON w.worker_id = a.worker_id
LEFT JOIN outcomes o ON o.code = a.code
LEFT JOIN environments e ON e.environment_id = a.environment_id;

CREATE VIEW v_curves AS
SELECT
  s.name AS sweep, c.dataset, c.model, c.bits, c.defense, c.attack, c.protocol, c.direction, c.variant, c.seed,
  cu.name AS curve, cu.x_label, cu.y_label, length(cu.x) / 4 AS n_points, cu.x, cu.y,
  lower(hex(j.key)) AS job_key, cu.attempt
FROM sweeps s
JOIN cells c ON c.sweep_id = s.sweep_id
JOIN cell_jobs cj ON cj.cell_id = c.cell_id
JOIN curves cu ON cu.job_id = cj.job_id
JOIN jobs j ON j.job_id = cu.job_id;

-- A metric that is a curve ("pr") is there when one of its curves ("pr:radius_micro") is.
CREATE VIEW v_missing AS
SELECT
  s.name AS sweep, c.dataset, c.model, c.bits, c.defense, c.attack, c.protocol, c.direction, c.variant, c.seed,
  x.metric, lower(hex(j.key)) AS job_key, k.name AS kind, st.name AS state, o.name AS outcome, j.message,
  c.cell_id
FROM sweeps s
JOIN cells c ON c.sweep_id = s.sweep_id
JOIN cell_metrics x ON x.metric_set = c.metric_set
LEFT JOIN jobs j ON j.job_id = (
  SELECT b.job_id FROM cell_jobs cj JOIN jobs b ON b.job_id = cj.job_id
  WHERE cj.cell_id = c.cell_id AND b.state <> 3
  ORDER BY CASE b.state WHEN 4 THEN 0 WHEN 6 THEN 1 WHEN 5 THEN 2 WHEN 2 THEN 3 WHEN 1 THEN 4 ELSE 5 END, b.job_id
  LIMIT 1)
LEFT JOIN job_shapes sh ON sh.shape_id = j.shape_id
LEFT JOIN job_kinds k ON k.kind = sh.kind
LEFT JOIN job_states st ON st.state = j.state
LEFT JOIN outcomes o ON o.code = j.code
WHERE NOT EXISTS (
  SELECT 1 FROM cell_jobs cj JOIN results r ON r.job_id = cj.job_id JOIN metrics m ON m.metric_id = r.metric_id
  WHERE cj.cell_id = c.cell_id AND m.name = x.metric AND r.value IS NOT NULL)
AND NOT EXISTS (
  SELECT 1 FROM cell_jobs cj JOIN curves cu ON cu.job_id = cj.job_id
  WHERE cj.cell_id = c.cell_id
    AND (cu.name = x.metric OR substr(cu.name, 1, length(x.metric) + 1) = x.metric || ':'));

CREATE VIEW v_cells AS
SELECT
  s.name AS sweep, c.dataset, c.model, c.bits, c.defense, c.attack, c.protocol, c.direction, c.variant, c.seed,
  c.revision,
  (SELECT count(*) FROM cell_jobs cj WHERE cj.cell_id = c.cell_id) AS n_jobs,
  (SELECT count(*) FROM cell_jobs cj JOIN jobs j ON j.job_id = cj.job_id
   WHERE cj.cell_id = c.cell_id AND j.state = 3) AS n_done,
  (SELECT group_concat(x.metric, ' ') FROM cell_metrics x WHERE x.metric_set = c.metric_set) AS metrics,
  c.cell_id
FROM sweeps s
JOIN cells c ON c.sweep_id = s.sweep_id;
