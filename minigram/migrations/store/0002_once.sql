-- Posts whose client may repeat the request, by its key. `about` is the photo of a comment, and 0 for a photo.

CREATE TABLE once (
    post INTEGER NOT NULL,
    about INTEGER NOT NULL,
    user INTEGER NOT NULL,
    key TEXT NOT NULL,
    sent TEXT NOT NULL,
    created INTEGER NOT NULL,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (post, about),
    UNIQUE (user, about, key)
) STRICT;
CREATE INDEX once_by_end ON once (kept_until);
