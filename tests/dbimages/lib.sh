# Turning packages into small images without installing anything on the host; read by build.sh.
# shellcheck shell=sh disable=SC2034,SC2154  # they share variables

prefix=dokploy-test

log() { printf 'dbimages: %s\n' "$*" >&2; }
die() { log "$*"; exit 1; }

# apt_lists : have package lists, which a fresh system lacks.
apt_lists() {
    for list in /var/lib/apt/lists/*_Packages*; do
        [ ! -e "$list" ] || return 0
    done
    apt-get update -qq >&2 || die "apt-get update failed"
}

# closure PACKAGE... : the library packages that PACKAGE... need on an empty system.
closure() {
    apt_lists
    : >"$work/no-packages"
    apt-get install -s -qq --no-install-recommends -o Dir::State::status="$work/no-packages" "$@" 2>/dev/null \
        | awk '$1 == "Inst" && $2 ~ /^(lib|zlib1g)/ { print $2 }'
}

# unpack_debs DIRECTORY PACKAGE... : unpack packages; none of their scripts run.
unpack_debs() {
    to=$1
    shift
    apt_lists
    mkdir -p "$to" "$work/debs"
    download "$@" || { apt-get update -qq >&2 && download "$@"; } || die "apt-get download failed: $*"
    for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$to"; done
}

download() { (cd "$work/debs" && apt-get download -qq -o APT::Sandbox::User=root "$@" >/dev/null); }

# wheels DIRECTORY REQUIREMENT... : unpack wheels for the Python of Debian 12.
wheels() {
    to=$1
    shift
    uv=${UV:-$(command -v "$here/../../.venv/bin/uv" || command -v uv || true)}
    python=${PYTHON:-python3}
    arch=$(uname -m)
    if [ -n "$uv" ]; then
        # Copied, since what is done to the files here must not be done to those of uv's cache.
        "$uv" pip install --quiet --python "$python" --link-mode copy --target "$to" --python-version 3.11 \
            --python-platform "$arch-manylinux_2_34" --only-binary :all: "$@" || die "uv could not get: $*"
        return
    fi
    for tag in 2_17 2_27 2_28 2_34; do set -- --platform "manylinux_${tag}_$arch" "$@"; done
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --no-warn-conflicts \
        --target "$to" --python-version 3.11 --implementation cp --only-binary=:all: "$@" || die "pip could not get: $*"
}

# copy_tree STAGE ROOT PATH... : copy paths of the unpacked packages into the image's root.
copy_tree() {
    from=$1 to=$2
    shift 2
    for path in "$@"; do
        mkdir -p "$to/$(dirname "$path")"
        cp -a "$from/$path" "$to/$path" || die "no $path in the unpacked packages"
    done
}

# copy_libs STAGE ROOT : copy the shared libraries that the executables in ROOT need, as STAGE's own loader finds them.
copy_libs() {
    loader=$(find "$1/lib" "$1/lib64" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
    [ -n "$loader" ] || die "no dynamic loader in $1"
    triplet=$(basename "$(dirname "$(find "$1" -name libc.so.6 | head -n 1)")")
    path=$1/lib/$triplet:$1/usr/lib/$triplet
    mkdir -p "$2/lib/$triplet" "$2/lib64"
    find "$2" -type f \( -perm -100 -o -name '*.so*' \) | while read -r file; do
        "$loader" --library-path "$path" --list "$file" 2>/dev/null || true
    done | awk -v from="$1/" '$2 == "=>" && index($3, from) == 1 { print $3 }' | sort -u | while read -r library; do
        cp -L "$library" "$2/lib/$triplet/"
    done
    cp -L "$loader" "$2/lib/$triplet/"
    case $(uname -m) in
        x86_64) link=$2/lib64 ;;
        *) link=$2/lib ;;
    esac
    ln -sfn "/lib/$triplet/$(basename "$loader")" "$link/$(basename "$loader")"
}

# base_root STAGE ROOT USER HOME : a busybox userland, and the user of the service with the official images' uid.
base_root() {
    mkdir -p "$2/bin" "$2/usr/bin" "$2/usr/local/bin" "$2/etc" "$2/tmp" "$2/root" "$2/run" "$2/var/run" "$2$4"
    chmod 1777 "$2/tmp"
    cp "$1/bin/busybox" "$2/bin/busybox"
    for applet in $("$1/bin/busybox" --list); do
        [ -e "$2/bin/$applet" ] || ln -s busybox "$2/bin/$applet"
    done
    ln -sfn /bin/env "$2/usr/bin/env"
    printf 'root:x:0:0:root:/root:/bin/sh\n%s:x:999:999::%s:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' "$3" "$4" >"$2/etc/passwd"
    printf 'root:x:0:\n%s:x:999:\nnogroup:x:65534:\n' "$3" >"$2/etc/group"
    printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$2/etc/nsswitch.conf"
}

# make_image ROOT TAG DATA PORT COMMAND WORKDIR [ENVIRONMENT] : import ROOT as an image with that configuration.
make_image() {
    mkdir -p "$1$3"
    chown 999:999 "$1$3"
    tar -C "$1" --numeric-owner -cf - . | "$docker" import \
        --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
        --change "CMD [\"$5\"]" \
        --change "VOLUME $3" \
        --change "WORKDIR $6" \
        --change "EXPOSE $4" \
        --change "ENV PATH=/usr/local/bin:/usr/bin:/bin${7:+ $7}" \
        --change "LABEL dokploy-test.inputs=$inputs" - "$2" >/dev/null
    log "$2 $("$docker" image inspect -f '{{.Size}}' "$2" | awk '{ printf "%.0f MB", $1 / 1e6 }')"
}
