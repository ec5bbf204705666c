-- A question about one defense or dataset over all sweeps finds its cells without reading every number. Cells are
-- written when a sweep is submitted; what finished jobs write has no further index.
CREATE INDEX cells_by_defense ON cells (defense, attack, dataset, model);
CREATE INDEX cells_by_dataset ON cells (dataset, model);
