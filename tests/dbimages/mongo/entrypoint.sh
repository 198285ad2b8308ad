#!/bin/sh
# What the official image is documented to do: with MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD (or *_FILE) its first start
# creates that root user, and the server asks for authentication.
set -e

# file_env VAR: take VAR from the file that VAR_FILE names.
file_env() {
    eval "file=\${$1_FILE:-} value=\${$1:-}"
    if [ -n "$file" ] && [ -n "$value" ]; then
        echo >&2 "error: both $1 and $1_FILE are set (but are exclusive)"
        exit 1
    fi
    [ -z "$file" ] || export "$1=$(cat "$file")"
    unset "$1_FILE"
}

[ "${1#-}" = "$1" ] || set -- mongod "$@"
[ "$1" = mongod ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
    chown -R mongodb:mongodb /data/db
fi
file_env MONGO_INITDB_ROOT_USERNAME
file_env MONGO_INITDB_ROOT_PASSWORD
if [ -n "$MONGO_INITDB_ROOT_USERNAME" ] || [ -n "$MONGO_INITDB_ROOT_PASSWORD" ]; then
    if [ -z "$MONGO_INITDB_ROOT_USERNAME" ] || [ -z "$MONGO_INITDB_ROOT_PASSWORD" ]; then
        echo >&2 'error: missing "MONGO_INITDB_ROOT_USERNAME" or "MONGO_INITDB_ROOT_PASSWORD"'
        echo >&2 '       both must be specified for a user to be created'
        exit 1
    fi
    set -- "$@" --auth
fi
set -- "$@" --bind_ip_all
# shellcheck disable=SC2016  # for the inner shell
[ "$(id -u)" != 0 ] || exec su -s /bin/sh mongodb -c 'exec "$0" "$@"' -- "$@"
exec "$@"
