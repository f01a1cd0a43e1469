"""Accounts: each request has exactly one terminal event, and no dead worker's box is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.harness.recorded import TERMINAL, Event
from tests.harness.site import Site
from tests.harness.waiting import eventually


def terminal_events(site: Site) -> list[Event]:
    """Every terminal event so far."""
    return [event for event in site.events() if event["event_type"] in TERMINAL]


def counted(site: Site) -> Counter[str]:
    """How many terminal events each agent has."""
    return Counter(event["req_user_agent"] for event in terminal_events(site))


def printed(site: Site) -> Counter[str]:
    """How many terminal lines each agent has."""
    return Counter(
        line["req_user_agent"] for line in site.lines() if line["event_type"] in TERMINAL
    )


def boxes(site: Site) -> list[str]:
    """The names of the boxes there are."""
    return sorted(path.name for path in site.dir.glob("boxes/*.box"))


def left_beside(site: Site) -> set[str]:
    """The names, without their endings, of files that stand beside no box."""
    return {path.stem for path in site.dir.glob("boxes/*")} - {
        path.stem for path in site.dir.glob("boxes/*.box")
    }


def check_once(site: Site, agents: Iterable[str], torn: int = 0) -> None:
    """Each agent has one terminal event and one line, once all have come.

    Up to ``torn`` lines may be missing: a worker was killed that often, and each time perhaps
    between its two writes, of the event and of the line.
    """
    wanted = set(agents)
    eventually(
        lambda: wanted <= set(counted(site)) and len(wanted - set(printed(site))) <= torn,
        "a terminal event and a line for each request",
        transcript=lambda: (
            f"{site.process.transcript()}\n--- no event {wanted - set(counted(site))}"
            f"\n--- no line {wanted - set(printed(site))}"
        ),
    )
    events, lines = counted(site), printed(site)
    assert {agent: events[agent] for agent in wanted} == dict.fromkeys(wanted, 1)
    shown = wanted & set(lines) if torn else wanted
    assert {agent: lines[agent] for agent in shown} == dict.fromkeys(shown, 1)


def check_boxes_are_of_the_living(site: Site, parent: int | None = None) -> None:
    """There is one box for each living worker, and no other."""

    def fits() -> bool:
        owners = sorted(int(name.partition("-")[0]) for name in boxes(site))
        living = site.worker_pids() if parent is None else site.children_of(parent)
        return owners == living and not left_beside(site)

    eventually(
        fits,
        "one box for each worker",
        transcript=lambda: (
            f"{site.process.transcript()}\n--- boxes {boxes(site)}"
            f"\n--- beside none: {left_beside(site)}"
        ),
    )
