"""Draws one flame graph of one request, or of many.

An ID is a request's id, the name of its report, or of its file in DIR/flames; --view,
--fingerprint and --since choose many, which are drawn as one. With --diff it is compared with what
is normal for its view: the profiles of its other requests. Exit code 1 when there is none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

from slowhound.cli.location import Refusal, find_location, print_error, print_out
from slowhound.cli.time_args import parse_time
from slowhound.flames.files import FlameFiles
from slowhound.flames.merge import merge
from slowhound.flames.profile import SUFFIX, Profile
from slowhound.flames.search import Found, ProfileFilter, find

# More than this many are drawn without the oldest: the memory of one merge is bounded.
MOST_PROFILES = 500
# What is normal for a view is said by so many of its latest requests.
MOST_COMPARED = 100
ENDINGS = {
    "svg": ".svg",
    "speedscope": ".speedscope.json",
    "collapsed": ".collapsed.txt",
    "pprof": ".pb.gz",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("id", nargs="*", metavar="ID", help="request, report or file; several")
    parser.add_argument("--view", help="name or route of a view: its requests")
    parser.add_argument("--fingerprint", help="of a group of slow requests (slow_fingerprint)")
    parser.add_argument(
        "--since", type=parse_time, help="those begun since then: 90s, 10m, 2h, 3d, or a date"
    )
    parser.add_argument(
        "--diff", action="store_true", help="compare with what is normal for the view"
    )
    parser.add_argument("--format", choices=ENDINGS, default="svg", help="svg is the default")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where it goes, - for standard output; without it a new file, or a pipe",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draws what was found; says what it is, and where it went."""
    wanted = ProfileFilter(
        frozenset(arguments.id), arguments.view, arguments.fingerprint, arguments.since
    )
    if wanted == ProfileFilter():
        arguments.refuse("which request? Name one, or --view, --fingerprint or --since")
    if arguments.diff and arguments.format != "svg":
        arguments.refuse("only svg shows a difference")
    location = find_location(arguments)
    files = FlameFiles(location.dir, 1, _folder(arguments))
    folder = files.folder or os.path.join(location.dir, "flames")
    # One more, to know whether there are more.
    found = list(islice(filter(wanted.matches, _all(folder)), MOST_PROFILES + 1))
    _complain(wanted, found, folder)
    profile = _together(files, found[:MOST_PROFILES])
    normal = _normal(files, folder, found) if arguments.diff else None
    data = _render(arguments.format, profile, normal)
    name = _write(arguments, found, data)
    if name is not None:
        of = f", compared with {normal.requests}" if normal is not None else ""
        print_out(f"{name}: {profile.requests} request{'s' * (profile.requests != 1)}{of}")
    return 0


def _folder(arguments: argparse.Namespace) -> str | None:
    """``FLAMES_DIR``, where the settings are those of the folder that is looked at."""
    if arguments.dir or not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return None
    from slowhound.config.from_django import get_config

    return get_config().flames_dir


def _all(folder: str) -> Iterator[Found]:
    try:
        yield from find(folder)
    except OSError as exc:
        raise Refusal(f"{folder}: {exc.strerror}. No flame graph has been written here.") from exc


def _together(files: FlameFiles, found: Sequence[Found]) -> Profile:
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


def _complain(wanted: ProfileFilter, found: Sequence[Found], folder: str) -> None:
    """Says what was not found.

    Raises:
        Refusal: nothing was.
    """
    if not found:
        raise Refusal(f"there is no such profile in {folder}")
    for each in sorted(wanted.ids):
        if not any(ProfileFilter(frozenset([each])).matches(one) for one in found):
            print_error(f"there is no profile of {each}")
    if len(found) > MOST_PROFILES:
        print_error(f"only the newest {MOST_PROFILES} are drawn")


def _normal(files: FlameFiles, folder: str, found: Sequence[Found]) -> Profile:
    views = {each.event.get("resp_view") for each in found}
    view = views.pop()
    if views or not isinstance(view, str):
        raise Refusal("--diff is for requests of one view: each view has its own normal")
    taken = {each.name for each in found}
    others = (each for each in _all(folder) if each.is_of(view) and each.name not in taken)
    compared = list(islice(others, MOST_COMPARED))
    if not compared:
        raise Refusal(f"there is no other profile of {view} to compare with")
    return _together(files, compared)


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
    """Where it was written; None: to standard output."""
    target = arguments.output
    if target == "-" or (target is None and not sys.stdout.isatty()):
        sys.stdout.buffer.write(data)
        return None
    if target is None:
        many = f"_and_{len(found) - 1}_more" if len(found) > 1 else ""
        target = found[0].name.removesuffix(SUFFIX) + many + ENDINGS[arguments.format]
    try:
        # A graph shows code, SQL and paths: it is for who has asked.
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise Refusal(f"{target} cannot be written: {exc.strerror}") from exc
    return str(target)
