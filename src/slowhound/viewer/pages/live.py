"""The page of requests in flight on this host, read from the workers' black boxes."""

from __future__ import annotations

import os

from slowhound.peers.workers import in_flight, workers
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Query
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

MOST_IN_FLIGHT = 200


def data(query: Query, sources: Sources) -> Data:
    """The workers and their requests, also of workers that are stuck; or why none can be read."""
    found: Data = {
        "workers": [],
        "requests": [],
        "more": 0,
        "problem": None,
        "command": command(query, sources._replace(spec=sources.dir), "ps", period=False),
    }
    try:
        running = workers(os.path.join(sources.dir, "boxes"), sources.owner())
    except FileNotFoundError:
        return found | {"problem": "No slowhound data here: the folder does not exist."}
    except OSError as exc:
        return found | {"problem": f"The boxes cannot be read: {exc.strerror}."}
    requests = in_flight(running)
    return found | {
        "workers": [
            {
                "pid": each.state.pid,
                "server": each.server,
                "in_flight": each.state.in_flight,
                "served": each.state.served,
                "rss": each.state.rss,
                "late": each.late,
                "silent_for": each.silent_for,
            }
            for each in running
        ],
        "requests": [each._asdict() for each in requests[:MOST_IN_FLIGHT]],
        "more": max(len(requests) - MOST_IN_FLIGHT, 0),
    }


PAGE = Page(
    "live",
    "Live",
    "Every request in flight on this host, the oldest first.",
    data,
)
