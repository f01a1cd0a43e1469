"""Checks that each request has exactly one terminal event, and that no ended worker left a box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from slowhound.blackbox.reader import survey
from tests.harness.recorded import TERMINAL, Event
from tests.harness.site import Site
from tests.harness.waiting import eventually


def terminal_events(site: Site) -> list[Event]:
    """Every terminal event so far."""
    return [event for event in site.events() if event["event_type"] in TERMINAL]


def counted(site: Site) -> Counter[str]:
    """The number of terminal events of each agent."""
    return Counter(event["req_user_agent"] for event in terminal_events(site))


def printed(site: Site) -> Counter[str]:
    """The number of terminal lines of each agent."""
    return Counter(
        line["req_user_agent"] for line in site.lines() if line["event_type"] in TERMINAL
    )


def boxes(site: Site) -> list[str]:
    """The names of the existing boxes."""
    return sorted(path.name for path in site.dir.glob("boxes/*.box"))


def heartbeats(site: Site) -> dict[int, int]:
    """The heartbeat of each process's hound (monotonic, ns)."""
    try:
        return {each.pid: each.heartbeat for each in survey(str(site.dir))[0]}
    except FileNotFoundError:  # none of them has served a request so far
        return {}


def left_beside(site: Site) -> set[str]:
    """The names, without suffix, of files in `boxes/` that belong to no box."""
    return {path.stem for path in site.dir.glob("boxes/*")} - {
        path.stem for path in site.dir.glob("boxes/*.box")
    }


def check_once(site: Site, agents: Iterable[str], torn: int = 0) -> None:
    """Waits for all, and checks that each agent has one terminal event and one line.

    Up to ``torn`` lines may be missing: that is how often a worker was killed, each time perhaps
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


def check_boxes_are_of_running_workers(site: Site, parent: int | None = None) -> None:
    """There is one box for each running worker, and no other."""

    def fits() -> bool:
        owners = sorted(int(name.partition("-")[0]) for name in boxes(site))
        running = site.worker_pids() if parent is None else site.children_of(parent)
        return owners == running and not left_beside(site)

    eventually(
        fits,
        "one box for each worker",
        transcript=lambda: (
            f"{site.process.transcript()}\n--- boxes {boxes(site)}"
            f"\n--- without a box: {left_beside(site)}"
        ),
    )
