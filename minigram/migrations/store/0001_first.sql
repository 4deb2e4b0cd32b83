-- The store of one database. Rows refer to others of the same shard only, so that shards can move apart.

-- How far this database has got. A database that was restored begins a new timeline.
CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    timeline INTEGER NOT NULL,
    lsn INTEGER NOT NULL
) STRICT;
INSERT INTO log (one, timeline, lsn) VALUES (1, 1, 0);

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    bio TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    followers INTEGER NOT NULL DEFAULT 0,
    following INTEGER NOT NULL DEFAULT 0,
    photos INTEGER NOT NULL DEFAULT 0,
    celebrity INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE follows (
    follower INTEGER NOT NULL,
    followee INTEGER NOT NULL,
    PRIMARY KEY (follower, followee)
) STRICT, WITHOUT ROWID;
CREATE INDEX follows_by_followee ON follows (followee, follower);

CREATE TABLE photos (
    id INTEGER PRIMARY KEY,
    author INTEGER NOT NULL REFERENCES users (id),
    caption TEXT NOT NULL,
    media TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    ready INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX photos_by_author ON photos (author, id);

CREATE TABLE likes (
    photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (photo, user)
) STRICT, WITHOUT ROWID;

-- The number of a photo's likes is the sum of its slots. A user has always the same slot.
CREATE TABLE like_slots (
    photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    slot INTEGER NOT NULL,
    likes INTEGER NOT NULL,
    PRIMARY KEY (photo, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE comments (
    id INTEGER PRIMARY KEY,
    photo INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    author INTEGER NOT NULL,
    text TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX comments_by_photo ON comments (photo, id);

CREATE TABLE feed (
    user INTEGER NOT NULL,
    photo INTEGER NOT NULL,
    author INTEGER NOT NULL,
    PRIMARY KEY (user, photo)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    leased_until INTEGER NOT NULL DEFAULT 0
) STRICT;
