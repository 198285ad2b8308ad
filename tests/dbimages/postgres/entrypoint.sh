#!/bin/sh
# What the official image is documented to do: its first start makes the cluster from POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB
# (or *_FILE), then the server takes over.
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

[ "${1#-}" = "$1" ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"

if [ "$PGDATA" != /var/lib/postgresql/data ] && [ ! -s "$PGDATA/PG_VERSION" ] && grep -q ' /var/lib/postgresql/data ' /proc/mounts; then
    echo >&2 'Error: in 18+, these Docker images are configured to store database data in a format which is compatible with "pg_ctlcluster"'
    echo >&2 '       Counter to that, there appears to be PostgreSQL data in: /var/lib/postgresql/data (unused mount/volume)'
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    # shellcheck disable=SC2016  # for the inner shell
    exec su -s /bin/sh postgres -c 'exec "$0" "$@"' -- "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER
    file_env POSTGRES_DB
    user=${POSTGRES_USER:-postgres} db=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        echo >&2 'Error: Database is uninitialized and superuser password is not specified.'
        echo >&2 '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.'
        exit 1
    fi
    pwfile=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$pwfile"
    # shellcheck disable=SC2086  # the variable holds several arguments
    initdb --username="$user" --pwfile="$pwfile" --encoding=UTF8 --locale=C --no-sync $POSTGRES_INITDB_ARGS
    rm -f "$pwfile"
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
    # On its socket only: nobody who asks over TCP may take it for the server that stays.
    pg_ctl -o "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql,/tmp" -w start
    if [ "$db" != postgres ]; then
        psql -v ON_ERROR_STOP=1 -U "$user" -d postgres -v db="$db" -q <<'SQL'
CREATE DATABASE :"db";
SQL
    fi
    pg_ctl -m fast -w stop
    echo 'PostgreSQL init process complete; ready for start up.'
fi

shift
exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql,/tmp "$@"
