-- Posts whose client may repeat the request, by its key, in the shard of the post. `about` is the photo of a comment,
-- and 0 for a photo. A row is never updated.

CREATE TABLE once (
    post BIGINT NOT NULL,
    about BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    -- A hash of the request.
    sent TEXT NOT NULL,
    created BIGINT NOT NULL,
    kept_until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (post, about),
    UNIQUE (user_id, about, key)
);
-- Each post removes some of its shard that are over.
CREATE INDEX once_by_end ON once (((post >> 16) & 63), kept_until);
