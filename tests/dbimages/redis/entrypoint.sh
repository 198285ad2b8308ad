#!/bin/sh
# As the official image: flags or a .conf file alone are meant for redis-server, which does not run as root.
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis '{}' +
    # shellcheck disable=SC2016  # for the inner shell
    exec su -s /bin/sh redis -c 'exec "$0" "$@"' -- "$@"
fi
exec "$@"
