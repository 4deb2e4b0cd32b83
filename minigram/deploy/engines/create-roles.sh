#!/bin/sh
# Creates MiniGram's role and databases, and the role of Evenkeel's checks. Patroni calls it with the superuser's URL, once.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
    --set minigram="$MINIGRAM_PASSWORD" --set evenkeel="$EVENKEEL_PASSWORD" "$1" <<'SQL'
CREATE ROLE minigram LOGIN PASSWORD :'minigram';
CREATE ROLE evenkeel LOGIN CONNECTION LIMIT 20 PASSWORD :'evenkeel';
-- `minigram shards move` reads how far the replicas are.
GRANT pg_read_all_stats TO minigram;
CREATE DATABASE minigram_0 OWNER minigram;
CREATE DATABASE minigram_1 OWNER minigram;
SQL
