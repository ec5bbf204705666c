-- What `gauntlet verify --robustness` found of a defense: one row per check. Judging again replaces the rows.
CREATE TABLE checks (
  sweep_id  INTEGER NOT NULL REFERENCES sweeps,
  dataset   TEXT    NOT NULL,
  model     TEXT    NOT NULL,
  bits      INTEGER NOT NULL,
  defense   TEXT    NOT NULL,
  direction TEXT    NOT NULL,
  variant   TEXT    NOT NULL,
  seed      INTEGER NOT NULL,
  check_id  TEXT    NOT NULL,  -- R01 to R21
  verdict   TEXT    NOT NULL CHECK (verdict IN ('pass', 'note', 'warn', 'fail', 'not run')),
  epsilon   REAL,              -- budget of the attacks that were judged, of the whole range
  delta     REAL,              -- NULL: nothing was measured
  ci_low    REAL,              -- ends of the paired 95 % interval; NULL where the figure has none
  ci_high   REAL,
  n         INTEGER NOT NULL,  -- queries or inputs behind the figure
  sentence  TEXT    NOT NULL,
  revision  TEXT    NOT NULL,  -- of the code that judged
  PRIMARY KEY (sweep_id, dataset, model, bits, defense, direction, variant, seed, check_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW v_checks AS
SELECT
  s.name AS sweep, c.dataset, c.model, c.bits, c.defense, c.direction, c.variant, c.seed, c.check_id,
  c.verdict, c.epsilon, c.delta, c.ci_low, c.ci_high, c.n, c.sentence, c.revision
FROM checks c JOIN sweeps s ON s.sweep_id = c.sweep_id;
