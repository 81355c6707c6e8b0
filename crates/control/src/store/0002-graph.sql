-- The graph that a scan saw, for paths and differences; empty for scans before this migration.
ALTER TABLE scan ADD COLUMN graph TEXT NOT NULL DEFAULT '';
