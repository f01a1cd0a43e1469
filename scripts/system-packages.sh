#!/bin/sh
# Installs the Debian packages that `make test` and `make bench` use beside Python.
# Without root or apt-get it installs nothing, prints what will be skipped, one line for each, and
# succeeds.
#
#   scripts/system-packages.sh test | bench
set -eu

have_postgres() {
    command -v postgres >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

have_wrk() {
    command -v wrk >/dev/null 2>&1
}

have_tmux() {
    command -v tmux >/dev/null 2>&1
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

# The output of apt; need prints the first error in it.
output=$(mktemp)
trap 'rm -f "$output"' EXIT
updated=
offline=

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    [ -z "$offline" ] || return 1
    echo "installing $*"
    # Another apt may be running: a new machine updates itself.
    wait="-o DPkg::Lock::Timeout=120"
    [ -n "$updated" ] || apt-get update -qq $wait >"$output" 2>&1 || true
    updated=yes
    if apt-get install -y -qq --no-install-recommends $wait "$@" >"$output" 2>&1; then return; fi
    if grep -q -e 'Temporary failure' -e 'Could not connect' -e 'Could not resolve' "$output"; then
        offline=yes
    fi
    return 1
}

install_postgres() {
    # Only the programs are wanted: the tests make their own cluster in a temporary folder.
    apt_install postgresql-common || return 1
    if [ -f /etc/postgresql-common/createcluster.conf ]; then
        sed -i 's/^#\?create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
    apt_install postgresql
}

# need NAME WHAT-IS-SKIPPED: a failed installation skips tests, it does not fail the run.
need() {
    if "have_$1"; then return; fi
    if can_install && "install_$1" && "have_$1"; then return; fi
    why=${offline:+no mirror of its packages can be reached}
    why=${why:-$(grep '^E:' "$output" | head -n 1 | cut -c 4-120)}
    echo "no $1 on this machine, and it cannot be installed from here${why:+ ($why)}: $2" >&2
}

# A compiler and the headers of the Python that builds.
have_compiler() {
    command -v gcc >/dev/null 2>&1 &&
        [ -e "$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

install_compiler() { apt_install gcc libc6-dev python3-dev; }

have_chromium() {
    command -v chromium >/dev/null 2>&1
}

# With a font: without one, a page shows no text.
install_chromium() { apt_install chromium fonts-dejavu-core; }

have_flamegraph() {
    [ -e /usr/share/perl5/Devel/NYTProf/flamegraph.pl ]
}

install_flamegraph() { apt_install libdevel-nytprof-perl; }

have_chattr() {
    command -v chattr >/dev/null 2>&1
}

install_chattr() { apt_install e2fsprogs; }

install_wrk() { apt_install wrk; }

install_tmux() { apt_install tmux; }

case "${1:-}" in
test)
    need compiler "the tests under uWSGI will be skipped"
    need postgres "the tests marked postgres will be skipped"
    need chattr "the tests with an immutable folder will be skipped"
    need tmux "the tests of slowhound top will be skipped"
    need chromium "the tests of pages will be skipped"
    need flamegraph "the test with Brendan Gregg's flamegraph.pl will be skipped"
    ;;
bench) need wrk "requests per second will not be measured" ;;
*)
    echo "usage: $0 test|bench" >&2
    exit 2
    ;;
esac
