-- When a job was accepted, or replayed: how old the oldest one is.

ALTER TABLE jobs ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
