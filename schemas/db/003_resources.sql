-- Shapes know variants and labels too. The unique constraint has to cover them, so the table is made anew; jobs
-- keep the numbers of their shapes.
PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE shapes_before AS SELECT * FROM job_shapes;

DROP TABLE job_shapes;

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
  more      TEXT    NOT NULL DEFAULT '',  -- '' or canonical JSON: {"labels":{...},"or_else":[{"cpus":...},...]}
  UNIQUE (kind, entry, version, cpus, gpus, ranks, memory_mb, time_s, more)
) STRICT;

INSERT INTO job_shapes (shape_id, kind, entry, version, cpus, gpus, ranks, memory_mb, time_s)
SELECT shape_id, kind, entry, version, cpus, gpus, ranks, memory_mb, time_s FROM shapes_before;

DROP TABLE shapes_before;
