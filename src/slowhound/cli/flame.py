"""Draws one flame graph of one request, or of many.

An ID is a request's id, the name of its report, or that of its file in DIR/flames. --view,
--fingerprint and --since choose several requests, which are merged. --diff compares with the normal
profile of the view: that of its other requests. Exit code 1 when there are no profiles.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

from slowhound.cli.location import find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.cli.time_args import parse_time
from slowhound.flames.files import FlameFiles
from slowhound.flames.merge import merge
from slowhound.flames.profile import SUFFIX, Profile
from slowhound.flames.search import Found, ProfileFilter, find

# Of more profiles only the newest are merged: this bounds the memory.
MOST_MERGED = 500
# A view's normal profile is that of its latest requests, this many.
MOST_COMPARED = 100
ENDINGS = {
    "svg": ".svg",
    "speedscope": ".speedscope.json",
    "collapsed": ".collapsed.txt",
    "pprof": ".pb.gz",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "id", nargs="*", metavar="ID", help="request, report or file; may be repeated"
    )
    parser.add_argument("--view", help="name or route of a view: its requests")
    parser.add_argument("--fingerprint", help="slow_fingerprint: a group of slow requests")
    parser.add_argument(
        "--since", type=parse_time, help="requests that began since: 90s, 10m, 2h, 3d, or a date"
    )
    parser.add_argument(
        "--diff", action="store_true", help="compare with the view's normal profile"
    )
    parser.add_argument("--format", choices=ENDINGS, default="svg", help="svg is the default")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file to write, - for standard output; default: a new file, or the pipe",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draws the profiles that match, and prints the file and how many they are."""
    wanted = ProfileFilter(
        frozenset(arguments.id), arguments.view, arguments.fingerprint, arguments.since
    )
    if wanted == ProfileFilter():
        arguments.refuse("no request given: pass an ID, --view, --fingerprint or --since")
    if arguments.diff and arguments.format != "svg":
        arguments.refuse("--diff works with svg only")
    location = find_location(arguments)
    files = FlameFiles(location.dir, 1, _folder(arguments))
    folder = files.folder or os.path.join(location.dir, "flames")
    # One more than are drawn, to know whether there are more.
    found = list(islice(filter(wanted.matches, _all(folder)), MOST_MERGED + 1))
    _report_missing(wanted, found, folder)
    profile = _merged(files, found[:MOST_MERGED])
    normal = _normal(files, folder, found) if arguments.diff else None
    data = _render(arguments.format, profile, normal)
    name = _write(arguments, found, data)
    if name is not None:
        of = f", compared with {normal.requests}" if normal is not None else ""
        print_out(f"{name}: {profile.requests} request{'s' * (profile.requests != 1)}{of}")
    return 0


def _folder(arguments: argparse.Namespace) -> str | None:
    """``FLAMES_DIR``, when DIR comes from the same settings."""
    if arguments.dir or not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return None
    from slowhound.config.from_django import get_config

    return get_config().flames_dir


def _all(folder: str) -> Iterator[Found]:
    try:
        yield from find(folder)
    except OSError as exc:
        raise Refusal(f"{folder}: {exc.strerror}. No flame graph has been written here.") from exc


def _merged(files: FlameFiles, found: Sequence[Found]) -> Profile:
    """Several profiles as one.

    Raises:
        Refusal: none of them can be read.
    """
    profiles = []
    for each in found:
        try:
            profiles.append(files.read(each.name))
        except (OSError, ValueError) as exc:
            print_error(f"{each.name} is left out: {exc}")
    if not profiles:
        raise Refusal("no profile could be read")
    profiles.sort(key=lambda each: each.started)
    return merge(profiles)


def _report_missing(wanted: ProfileFilter, found: Sequence[Found], folder: str) -> None:
    """Prints which ids were not found.

    Raises:
        Refusal: nothing was found.
    """
    if not found:
        raise Refusal(f"there is no such profile in {folder}")
    for each in sorted(wanted.ids):
        if not any(ProfileFilter(frozenset([each])).matches(one) for one in found):
            print_error(f"there is no profile of {each}")
    if len(found) > MOST_MERGED:
        print_error(f"only the newest {MOST_MERGED} are drawn")


def _normal(files: FlameFiles, folder: str, found: Sequence[Found]) -> Profile:
    views = {each.event.get("resp_view") for each in found}
    view = views.pop()
    if views or not isinstance(view, str):
        raise Refusal("--diff takes requests of one view: each view has its own normal profile")
    taken = {each.name for each in found}
    others = (each for each in _all(folder) if each.is_of(view) and each.name not in taken)
    compared = list(islice(others, MOST_COMPARED))
    if not compared:
        raise Refusal(f"there is no other profile of {view} to compare with")
    return _merged(files, compared)


def _render(kind: str, profile: Profile, normal: Profile | None) -> bytes:
    from slowhound.flames.render import collapsed, pprof, speedscope, svg

    if kind == "pprof":
        return pprof.render(profile)
    if kind == "svg":
        text = svg.render(profile, normal)
    else:
        text = collapsed.render(profile) if kind == "collapsed" else speedscope.render(profile)
    return text.encode("utf-8", "backslashreplace")


def _write(arguments: argparse.Namespace, found: Sequence[Found], data: bytes) -> str | None:
    """The file that was written; None for standard output."""
    target = arguments.output
    if target == "-" or (target is None and not sys.stdout.isatty()):
        sys.stdout.buffer.write(data)
        return None
    if target is None:
        many = f"_and_{len(found) - 1}_more" if len(found) > 1 else ""
        target = found[0].name.removesuffix(SUFFIX) + many + ENDINGS[arguments.format]
    try:
        # A graph shows code, SQL and paths, so only this user may read it.
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise Refusal(f"{target} cannot be written: {exc.strerror}") from exc
    return str(target)
