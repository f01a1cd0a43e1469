#!/bin/sh
# Fills a virtual environment with exactly what a lock file in requirements/ names, each file checked
# by its hash, and with the project itself.
#
#   scripts/install.sh demo|test|soak|dev        what requirements/NAME.txt names
#   scripts/install.sh apart                     requirements/apart/, which tests run separately
#   scripts/install.sh check                     nothing: only checks that PYTHON can be used
#
# PYTHON is the interpreter (python3), VENV the folder (.venv). A failure prints one line; pip's
# output is in VENV/install.log.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

fail() {
    echo "slowhound: $*" >&2
    exit 1
}

check_python() {
    command -v "$PYTHON" >/dev/null 2>&1 || fail "there is no $PYTHON on this machine"
    # In a syntax that any version of Python runs, so that an old one can be named.
    version=$("$PYTHON" -c 'import sys; print("Python %d.%d.%d" % sys.version_info[:3])' 2>/dev/null) ||
        fail "$PYTHON is no Python"
    case $version in
    Python\ 3.1[1-9].* | Python\ 3.[2-9][0-9].*) ;;
    Python\ *)
        fail "Python 3.11 or newer is needed, $PYTHON is $version;" \
            "name another one: make PYTHON=/path/to/python3.11"
        ;;
    *) fail "$PYTHON is no Python" ;;
    esac
    has_pip || "$PYTHON" -c 'import ensurepip' 2>/dev/null ||
        fail "$PYTHON has no pip (on Debian: apt install python3-pip)"
}

has_pip() {
    "$PYTHON" -m pip --version >/dev/null 2>&1
}

# Debian's python3 has pip, but not ensurepip; other Pythons may have it the other way round.
make_environment() {
    # An environment made by another Python, or copied with its checkout, has other code.
    made_by="$PYTHON $(pwd -P)"
    found=$(cat "$VENV/.made-by" 2>/dev/null || echo "$made_by")
    if [ "$found" = "$made_by" ] && "$VENV/bin/python" -c '' 2>/dev/null; then return; fi
    # The folder is removed below, so it must be a virtual environment.
    if [ -e "$VENV" ] && [ ! -e "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV" 2>/dev/null)" ]; then
        fail "$VENV is there already, and is no virtual environment"
    fi
    if has_pip; then without=--without-pip; else without=; fi
    why=$("$PYTHON" -m venv --clear $without "$VENV" 2>&1) ||
        fail "$PYTHON cannot make a virtual environment in $VENV: $(echo "$why" | tail -n 1)"
    echo "$made_by" >"$VENV/.made-by"
}

# Settings that a person may have made for their own packages.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_HASHES PIP_DRY_RUN PIP_CONSTRAINT \
    PIP_REQUIREMENT PIP_NO_BINARY PIP_ONLY_BINARY PIP_NO_DEPS PIP_EDITABLE PIP_PYTHON PIP_REQUIRE_VIRTUALENV

run_pip() {
    if has_pip; then
        "$PYTHON" -m pip --python "$VENV/bin/python" "$@"
    else
        "$VENV/bin/python" -m pip "$@"
    fi
}

# pip NAME ARGUMENT...: NAME is what the message of a failure calls it.
pip() {
    what=$1
    shift
    call_pip install "$@"
}

call_pip() {
    log=$VENV/install.log
    if run_pip --disable-pip-version-check "$@" --quiet >"$log" 2>&1; then return; fi
    if grep -q -e 'connection broken' -e 'Max retries exceeded' -e 'ConnectTimeout' "$log"; then
        fail "$what cannot be installed: no package index can be reached (pip's words: $log)"
    fi
    fail "$what cannot be installed: $(sed -n 's/^ *ERROR: //p' "$log" | tail -n 1 | cut -c 1-240)" \
        "(all of pip's words: $log)"
}

# A package without a wheel for a new Python is built, by the tools in the lock and not by newer ones.
locked() {
    pip requirements/build.txt --require-hashes --only-binary :all: -r requirements/build.txt
    pip "requirements/$1.txt" --require-hashes --no-build-isolation -r "requirements/$1.txt"
    pip slowhound --no-deps --no-build-isolation --editable .
}

# apart NAME ARGUMENT...: into "site-packages", by which slowhound knows that it is no app's code.
apart() {
    target=$VENV/apart/$1/site-packages
    lock=requirements/apart/$1.txt
    shift
    if cmp -s "$lock" "$target.lock"; then return; fi
    rm -rf "$target"
    pip "$lock" --require-hashes --no-deps --target "$target" "$@" -r "$lock"
    cp "$lock" "$target.lock"
}

# released NAME: the released source of the package that is locked there, with its tests.
released() {
    target=$VENV/apart/$1/source
    what=requirements/apart/$1.txt
    if cmp -s "$what" "$target.lock"; then return; fi
    rm -rf "$target"
    call_pip download --require-hashes --no-deps --no-binary :all: --no-build-isolation \
        --dest "$target" -r "$what"
    cp "$what" "$target.lock"
}

has_compiler() {
    command -v gcc >/dev/null 2>&1 || command -v cc >/dev/null 2>&1
}

check_python
case "${1:-}" in
demo | test | soak | dev | apart) make_environment ;;
esac
case "${1:-}" in
check) ;;
demo | test | soak | dev) locked "$1" ;;
apart)
    apart gunicorn-23
    apart canonical-logs
    released canonical-logs
    apart pytest-django
    # Released as source only; where it cannot be built, its tests are skipped.
    if has_compiler; then (apart uwsgi --no-build-isolation) || true; fi
    ;;
*) fail "usage: scripts/install.sh demo|test|soak|dev|apart|check" ;;
esac
