#!/bin/sh
# Starts a Redis of the pair. $1: its own host name; $2: the host that is the primary at first; then further options.
set -eu
host=$1
primary=$2
shift 2
# The log of a server that has crashed may lack the last two seconds of what its replica has. So a Sentinel must have promoted the
# replica before this one comes back: otherwise it would be the primary again, and the replica would throw away what it has more.
if [ -d /data/appendonlydir ]; then
    sleep 8
fi
if [ "$host" != "$primary" ]; then
    set -- "$@" --replicaof "$primary" 6379
fi
exec redis-server --dir /data --requirepass "$REDIS_PASSWORD" --masterauth "$REDIS_PASSWORD" --appendonly yes \
    --maxmemory 256mb --repl-diskless-sync-delay 0 --replica-announce-ip "$host" "$@"
