#!/bin/sh
# Moves the lock files in requirements/ to the newest versions that pyproject.toml allows.
#
#   scripts/update.sh UV                         all of them
#   scripts/update.sh UV --upgrade-package rich  only this one, and what is new in pyproject.toml
#
# Each file works for every supported Python (lines have markers), and has the hash of each file that
# may be installed. It names no index: any mirror of PyPI will do.
set -eu
cd "$(dirname "$0")/.."

uv=$1
shift
[ $# -gt 0 ] || set -- --upgrade

lock() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
        --custom-compile-command "make update" "$@" >/dev/null
}

# All at once first, so that no two files name two versions of a package.
together=$(mktemp)
trap 'rm -f "$together"' EXIT
cat requirements/dev.txt requirements/soak.txt 2>/dev/null | awk '/^[a-z]/ { on = !seen[$0]++ } on' \
    >"$together"
lock "$@" --all-extras --group build pyproject.toml --output-file "$together"
for extra in demo test soak dev; do
    lock --constraint "$together" --extra "$extra" pyproject.toml \
        --output-file "requirements/$extra.txt"
done
lock --constraint "$together" --group build --output-file requirements/build.txt

# Packages that tests use beside those of the environment: each gets its own folder.
apart() {
    echo "$2" | lock --upgrade --no-deps - --output-file "requirements/apart/$1.txt"
}
apart gunicorn-23 "gunicorn~=23.0"
apart canonical-logs gunicorn-django-canonical-logs
# The tests of canonical-logs need it.
apart pytest-django pytest-django
apart uwsgi uwsgi
