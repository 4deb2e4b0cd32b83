-- The jobs of one queue.

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'dead', 'done')),
    -- Waiting: ready from then on. Taken: until then. Dead: since then. Done: its key is remembered until then.
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Counts every handing out and is never set back, so that an old receipt fits no later one.
    deliveries INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (topic, key)
) STRICT;
CREATE INDEX jobs_by_due ON jobs (topic, state, due, id);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_done ON jobs (due) WHERE state = 'done';
