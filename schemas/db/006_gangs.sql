-- A gang over several workers: [[worker id, ranks, gpus], …], the worker of the lease first; '' for all others.
ALTER TABLE leases ADD COLUMN parts TEXT NOT NULL DEFAULT '';
