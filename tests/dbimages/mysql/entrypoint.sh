#!/bin/sh
# What the official image is documented to do: its first start makes the data directory from MYSQL_ROOT_PASSWORD, MYSQL_DATABASE,
# MYSQL_USER and MYSQL_PASSWORD (or *_FILE), then the server takes over.
set -e

# file_env VAR: take VAR from the file that VAR_FILE names.
file_env() {
    eval "file=\${$1_FILE:-} value=\${$1:-}"
    if [ -n "$file" ] && [ -n "$value" ]; then
        echo >&2 "[ERROR] [Entrypoint]: Both $1 and $1_FILE are set (but are exclusive)"
        exit 1
    fi
    [ -z "$file" ] || export "$1=$(cat "$file")"
    unset "$1_FILE"
}

# quote TEXT: TEXT as an SQL string literal.
quote() { printf "'%s'" "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")"; }

[ "${1#-}" = "$1" ] || set -- mysqld "$@"
[ "$1" = mysqld ] || exec "$@"

data=/var/lib/mysql socket=/var/run/mysqld/mysqld.sock
mkdir -p "$data" /var/run/mysqld
chown -R mysql:mysql "$data" /var/run/mysqld
# The character set is that of MySQL 8, where MariaDB without a configuration has latin1; the official image's configuration has the other.
common="--no-defaults --user=mysql --datadir=$data --socket=$socket --character-set-server=utf8mb4 --skip-name-resolve"

if [ ! -d "$data/mysql" ]; then
    for name in MYSQL_ROOT_PASSWORD MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD; do file_env $name; done
    if [ -z "$MYSQL_ROOT_PASSWORD" ] && [ -z "$MYSQL_ALLOW_EMPTY_PASSWORD" ]; then
        echo >&2 '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified'
        echo >&2 '    You need to specify one of the following as an environment variable:'
        echo >&2 '    - MYSQL_ROOT_PASSWORD'
        echo >&2 '    - MYSQL_ALLOW_EMPTY_PASSWORD'
        echo >&2 '    - MYSQL_RANDOM_ROOT_PASSWORD'
        exit 1
    fi
    mariadb-install-db --no-defaults --user=mysql --datadir="$data" --skip-test-db \
        --auth-root-authentication-method=normal >/dev/null
    # shellcheck disable=SC2086  # $common holds several arguments
    mysqld $common --skip-networking &
    server=$!
    until mysqladmin --no-defaults -S "$socket" ping >/dev/null 2>&1; do
        kill -0 $server || exit 1
        sleep 0.2
    done
    root=$(quote "$MYSQL_ROOT_PASSWORD")
    {
        echo "DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';"
        echo "FLUSH PRIVILEGES;"
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $root;"
        echo "CREATE USER 'root'@'%' IDENTIFIED BY $root;"
        echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
        [ -z "$MYSQL_DATABASE" ] || echo "CREATE DATABASE \`$MYSQL_DATABASE\`;"
        if [ -n "$MYSQL_USER" ] && [ -n "$MYSQL_PASSWORD" ]; then
            echo "CREATE USER $(quote "$MYSQL_USER")@'%' IDENTIFIED BY $(quote "$MYSQL_PASSWORD");"
            [ -z "$MYSQL_DATABASE" ] ||
                echo "GRANT ALL ON \`$MYSQL_DATABASE\`.* TO $(quote "$MYSQL_USER")@'%';"
        fi
    } | mysql --no-defaults -S "$socket" -u root
    MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysqladmin --no-defaults -S "$socket" -u root shutdown
    wait $server
    echo '[Note] [Entrypoint]: MySQL init process done. Ready for start up.'
fi

shift
# shellcheck disable=SC2086
exec mysqld $common --bind-address=0.0.0.0 "$@"
