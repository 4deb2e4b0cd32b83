#!/bin/sh
# Starts a Sentinel that watches the Redis pair. It keeps what it learns in its configuration file, so the file is made only once.
# $1: the host that is the primary at first.
set -eu
file=/data/sentinel.conf
if [ ! -e "$file" ]; then
    umask 077
    cat > "$file" <<CONF
port 26379
dir /data
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor sessions $1 6379 2
sentinel auth-pass sessions $REDIS_PASSWORD
sentinel down-after-milliseconds sessions 1000
sentinel failover-timeout sessions 5000
CONF
fi
exec redis-server "$file" --sentinel
