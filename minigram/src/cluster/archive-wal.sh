#!/bin/sh
# Copies a piece of PostgreSQL's write-ahead log into the archive: `archive-wal FILE NAME ARCHIVE`.
#
# All nodes archive the same pieces. The first one that links a name wins; the others compare. PostgreSQL calls again after a failure,
# and keeps its piece meanwhile. A piece is mostly zeros if it was ended early: these take no space.
set -eu
to=$3/$2
if [ ! -e "$to" ]; then
    new=$3/.new.$2.$$
    trap 'rm -f "$new"' EXIT
    cp --sparse=always -- "$1" "$new"
    sync -- "$new"
    # Unlike a rename, a link replaces nothing.
    if ln -- "$new" "$to" 2>/dev/null; then
        sync -- "$3"
        exit 0
    fi
fi
if cmp -s -- "$1" "$to"; then
    # The node that has linked it may not have flushed the directory yet.
    sync -- "$3"
    exit 0
fi
case $2 in
    *.partial)
        # What a lost primary had begun. Recovery does not read it, so it must not stop the archive: both are kept.
        cp -- "$1" "$to.$(date +%s)"
        exit 0
        ;;
esac
echo "archive-wal: $to exists with other content, and is kept" >&2
exit 1
