#!/bin/bash
# Installs versions of CPython that this Debian does not have into a folder, beside the machine's own.
#
#   scripts/pythons.sh FOLDER VERSION...        scripts/pythons.sh ~/pythons 3.14 3.15
#   SUITE=testing scripts/pythons.sh ...        from another suite than unstable
#
# Afterwards FOLDER/bin/python3.14 is an interpreter like any other, with venv, pip and the headers
# to build extensions with. Nothing is installed on the machine, and no root is needed: the packages
# of a newer suite are fetched from the mirror that apt already uses, with all that they depend on,
# down to the C library, and are unpacked into FOLDER. A version that is there is left alone; remove
# FOLDER/VERSION to install it again.
#
# Why not a chroot: tests start the machine's own programs, such as PostgreSQL, and read /proc. Without
# a chroot all of these are available, and an interpreter is only a path.
set -euo pipefail

SUITE=${SUITE:-unstable}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "pythons.sh: $*"; }
fail() {
    echo "pythons.sh: $*" >&2
    exit 1
}

# The mirror is the one from which the machine's own lists came; security has another label.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Label: Debian' | sort -u | head -n 1
}

# apt with its own lists and cache, and no installed packages, so that it fetches the C library, too.
# Proxies and certificates are those of the machine's configuration.
own_apt() {
    local command=$1
    shift
    "$command" -qq \
        -o Dir::Etc::SourceList="$APT/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State="$APT/state" -o Dir::State::Lists="$APT/lists" \
        -o Dir::State::Status="$APT/status" -o Dir::Cache="$APT/cache" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Architectures="$(dpkg --print-architecture)" \
        -o APT::Install-Recommends=false -o Debug::NoLocking=true \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= "$@"
}

read_lists() {
    local uri
    uri=$(mirror)
    [ -n "$uri" ] || fail "apt has no lists of a Debian mirror; run apt-get update first"
    mkdir -p "$APT/lists/partial" "$APT/state" "$APT/cache/archives/partial"
    : >"$APT/status"
    echo "deb [signed-by=$KEYRING] $uri $SUITE main" >"$APT/sources.list"
    say "reading the lists of $SUITE"
    own_apt apt-get update || fail "the lists of $SUITE cannot be read from the mirror of this machine"
}

# fetch VERSION: downloads it and its dependencies, as packages in the cache.
fetch() {
    local version=$1 policy
    policy=$(own_apt apt-cache policy "python$version" | awk '/Candidate:/ { print $2 }')
    [ -n "$policy" ] && [ "$policy" != "(none)" ] || fail "$SUITE has no python$version"
    say "fetching python$version $policy"
    # By now the cache may hold what another version needed.
    rm -f "$APT"/cache/archives/*.deb
    own_apt apt-get install --yes --download-only "python$version-venv" "libpython$version-dev" \
        patchelf || fail "python$version cannot be fetched"
}

# Packages have their files below /usr; some still name /lib. The links are made first, as in Debian.
unpack() {
    local root=$1 name package
    for name in bin sbin lib lib64; do
        mkdir -p "$root/usr/$name"
        ln -sfn "usr/$name" "$root/$name"
    done
    for package in "$APT"/cache/archives/*.deb; do
        # tar keeps those links; dpkg-deb --extract would replace them with folders.
        dpkg-deb --fsys-tarfile "$package" |
            tar -x -C "$root" --keep-directory-symlink --no-same-owner \
                --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
                --exclude='./usr/share/locale/*' --exclude='./var/*' --exclude='./etc/*'
    done
}

# relocate ROOT FINAL VERSION: makes the interpreter in ROOT run from FINAL.
relocate() {
    local root=$1 final=$2 version=$3 multiarch loader libraries python patch
    multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
    python=$root/usr/bin/python$version
    loader=$(LC_ALL=C readelf --program-headers "$python" |
        sed -n 's/.*program interpreter: \(.*\)\]/\1/p')
    libraries=usr/lib/$multiarch
    # patchelf is from the same suite, and runs with that suite's C library. One change at a time, in
    # this order: with both together, 0.18 makes overlapping segments, and the interpreter crashes.
    # DT_RPATH and not DT_RUNPATH: it also applies to what extension modules load.
    patch=("$root$loader" --library-path "$root/$libraries" "$root/usr/bin/patchelf")
    "${patch[@]}" --force-rpath --set-rpath "$final/$libraries" "$python"
    "${patch[@]}" --set-interpreter "$final$loader" "$python"
    # ensurepip and the headers are written for /usr.
    grep -rlI --include='*.py' --include='*.json' '/usr/share/python-wheels' \
        "$root/usr/lib/python$version" | xargs -r sed -i "s#/usr/share/python-wheels#$final&#g"
    cp "$root/usr/include/$multiarch/python$version/pyconfig.h" \
        "$root/usr/include/python$version/pyconfig.h"
}

# True if a virtual environment can be made, with pip, in which modules that need libraries work.
works() {
    local python=$1 trial
    trial=$(mktemp -d)
    "$python" -m venv "$trial" &&
        "$trial/bin/python" -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, uuid, zlib' &&
        "$trial/bin/python" -m pip --version >/dev/null
    local result=$?
    rm -rf "$trial"
    return $result
}

provide() {
    local version=$1 final=$FOLDER/$1 command=$FOLDER/bin/python$1
    if [ -x "$command" ] && works "$command"; then
        say "$("$command" --version) is there: $command"
        return
    fi
    [ -e "$APT/sources.list" ] || read_lists
    fetch "$version"
    rm -rf "$final" "$final.new"
    mkdir -p "$final.new" "$FOLDER/bin"
    unpack "$final.new"
    relocate "$final.new" "$final" "$version"
    mv "$final.new" "$final"
    # Not a link: an environment made through a link searches for the library beside the link.
    rm -f "$command"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$final/usr/bin/python$version" >"$command"
    chmod +x "$command"
    # Now, and not at each start of an interpreter that has no right to write there.
    "$command" -m compileall -q "$final/usr/lib/python$version"
    works "$command" || fail "$command was unpacked, but does not work"
    say "$("$command" --version) is ready: $command"
}

[ $# -ge 2 ] || {
    sed -n '4,5s/^# *//p' "$0" >&2
    exit 2
}
for program in apt-get dpkg-deb gcc readelf tar; do
    command -v "$program" >/dev/null || fail "$program is missing; this is for Debian, with gcc"
done
FOLDER=$(mkdir -p "$1" && cd "$1" && pwd -P)
shift
APT=$(mktemp -d)
trap 'rm -rf "$APT"' EXIT
for version in "$@"; do
    provide "$version"
done
