"""What is in flight on this host now; read from the boxes, also while the workers are stuck."""

from __future__ import annotations

import os

from slowhound.peers.workers import in_flight, workers
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Asked
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

MOST = 200


def data(asked: Asked, where: Where) -> Data:
    """The workers and their requests; ``problem`` says why they cannot be seen."""
    shown: Data = {
        "workers": [],
        "requests": [],
        "more": 0,
        "problem": None,
        "command": command(asked, where._replace(spec=where.dir), "ps", period=False),
    }
    try:
        found = workers(os.path.join(where.dir, "boxes"), where.owner())
    except FileNotFoundError:
        return shown | {"problem": "No worker has run here: the folder is not there."}
    except OSError as exc:
        return shown | {"problem": f"The boxes cannot be read: {exc.strerror}."}
    requests = in_flight(found)
    return shown | {
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
            for each in found
        ],
        "requests": [each._asdict() for each in requests[:MOST]],
        "more": max(len(requests) - MOST, 0),
    }


PAGE = Page(
    "live",
    "Live",
    "Every request in flight on this host, the oldest first.",
    data,
)
