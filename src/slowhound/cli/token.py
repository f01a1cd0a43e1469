"""Prints a token that permits ?flames on one path for a while.

Add ?flames=TOKEN to a URL, or send the header Slowhound-Flames: TOKEN. The token is signed with the
SECRET_KEY of DJANGO_SETTINGS_MODULE, and is accepted where FLAMES allows "token".
"""

from __future__ import annotations

import argparse
import os

from slowhound.cli.location import import_project
from slowhound.cli.output import Refusal, print_error, print_out

# Ten minutes: long enough to try, too short to be of use in an old log.
DEFAULT_TTL = 600


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--ttl",
        type=int,
        default=DEFAULT_TTL,
        metavar="SECONDS",
        help=f"how long it is valid (default: {DEFAULT_TTL}; a week at most)",
    )
    parser.add_argument(
        "--path",
        default="/",
        metavar="PREFIX",
        help="the path that it is valid for, with all below it (default: /, everything)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the token, and on standard error why it may be rejected."""
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise Refusal("DJANGO_SETTINGS_MODULE is not set: a token is signed with SECRET_KEY", 2)
    import_project()
    try:
        from django.conf import settings

        from slowhound.config.from_django import get_config
        from slowhound.on_demand.permission import new_token

        allow, debug = get_config().flames_allow, settings.DEBUG
        token = new_token(arguments.path, arguments.ttl)
    except ValueError as exc:
        arguments.refuse(str(exc))
    except Exception as exc:
        raise Refusal(f"the settings cannot be used ({exc!r})") from exc
    if "token" not in allow and not (debug and allow):
        print_error(
            "FLAMES['ALLOW'] does not name 'token' in these settings: the token will be rejected"
        )
    print_out(token)
    return 0
