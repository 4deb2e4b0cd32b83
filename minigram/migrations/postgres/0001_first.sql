-- One of the databases of the store. Rows refer to others of the same shard only, so that shards can move apart.
-- The shard of a row is in the id that its table is spread by: `(id >> 16) & 63`.

-- Which of the databases this is. Positions name databases by their number.
CREATE TABLE this_database (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    number SMALLINT NOT NULL
);

-- Timelines on which the store has written. A replica that shows a row has replayed that far.
CREATE TABLE timelines (
    timeline INTEGER PRIMARY KEY
);

-- Which database has which shard. Kept in database 0.
CREATE TABLE shard_map (
    shard SMALLINT PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    number SMALLINT NOT NULL
);

CREATE TABLE shard_map_version (
    one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    version BIGINT NOT NULL
);

-- What this database knows of the shards that it has or had. It decides, not the map: a server whose map is old is
-- refused here.
--   open: reads and writes. fenced: reads; writes wait, at most until `fenced_until`. gone: neither. arriving: not yet.
CREATE TABLE shards (
    shard SMALLINT PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    state TEXT NOT NULL CHECK (state IN ('open', 'fenced', 'gone', 'arriving')),
    fenced_until TIMESTAMPTZ
);

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    display_name TEXT NOT NULL,
    bio TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    followers BIGINT NOT NULL DEFAULT 0,
    following BIGINT NOT NULL DEFAULT 0,
    photos BIGINT NOT NULL DEFAULT 0,
    celebrity BOOLEAN NOT NULL DEFAULT FALSE,
    created BIGINT NOT NULL,
    CONSTRAINT users_name UNIQUE (name)
);

-- A follow has two sides, each in the shard of its user. That of the follower is the truth.
CREATE TABLE following (
    follower BIGINT NOT NULL,
    followee BIGINT NOT NULL,
    PRIMARY KEY (follower, followee)
);

CREATE TABLE followers (
    followee BIGINT NOT NULL,
    follower BIGINT NOT NULL,
    PRIMARY KEY (followee, follower)
);

-- Follows whose other side, in another database, does not show yet what `following` says.
CREATE TABLE unsettled (
    follower BIGINT NOT NULL,
    followee BIGINT NOT NULL,
    since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (follower, followee)
);

-- All celebrities, in every database, so that a feed finds those it must pull from in its own. `spread` is false until
-- all databases have the row.
CREATE TABLE celebrities (
    user_id BIGINT PRIMARY KEY,
    spread BOOLEAN NOT NULL
);
CREATE INDEX celebrities_to_spread ON celebrities (user_id) WHERE NOT spread;

CREATE TABLE photos (
    id BIGINT PRIMARY KEY,
    author BIGINT NOT NULL REFERENCES users (id),
    caption TEXT NOT NULL,
    media TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    ready BOOLEAN NOT NULL DEFAULT FALSE,
    created BIGINT NOT NULL
);
CREATE INDEX photos_by_author ON photos (author, id);

CREATE TABLE likes (
    photo BIGINT NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (photo, user_id)
);

-- The number of a photo's likes is the sum of its slots. A user has always the same slot. Pages are half empty, so that
-- an update stays in its page and touches no index.
CREATE TABLE like_slots (
    photo BIGINT NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    slot SMALLINT NOT NULL,
    likes BIGINT NOT NULL,
    PRIMARY KEY (photo, slot)
) WITH (fillfactor = 50);

CREATE TABLE comments (
    id BIGINT PRIMARY KEY,
    photo BIGINT NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    author BIGINT NOT NULL,
    text TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX comments_by_photo ON comments (photo, id);

CREATE TABLE feed (
    user_id BIGINT NOT NULL,
    photo BIGINT NOT NULL,
    author BIGINT NOT NULL,
    PRIMARY KEY (user_id, photo)
);

-- Jobs stay in the database that wrote them, whatever moves.
CREATE TABLE outbox (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BYTEA NOT NULL,
    leased_until TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Rows of a moving shard that changed since its copy began: the table, and the columns of its key.
CREATE TABLE shard_changes (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tab TEXT NOT NULL,
    a BIGINT NOT NULL,
    b BIGINT NOT NULL
);

-- The trigger of a move. Its arguments: the shard, the column that the table is spread by, and the columns of the key.
CREATE FUNCTION note_shard_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    changed JSONB := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    IF (((changed ->> TG_ARGV[1])::BIGINT >> 16) & 63) = TG_ARGV[0]::BIGINT THEN
        INSERT INTO shard_changes (tab, a, b) VALUES (
            TG_TABLE_NAME,
            (changed ->> TG_ARGV[2])::BIGINT,
            (changed ->> TG_ARGV[3])::BIGINT
        );
    END IF;
    RETURN NULL;
END
$$;
