"""Under ASGI servers: what slow requests and blocked event loops are reported as."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from slowhound.gil.holders import LEAST_HOLD
from tests.asgi.conftest import only
from tests.harness.asgi_servers import Asgi
from tests.harness.gil import ask
from tests.harness.site import Site
from tests.harness.sources import line_of
from tests.harness.waiting import eventually

VIEWS = "views/coroutines.py"
# Way, mark of its await, function there, and what only its chain has.
WAYS = {
    "straight": ("straight", "straight_leaf"),
    "gather": ("gather", "gather_leaf"),
    "group": ("group", "group_leaf"),
    "wait_for": ("wait_for", "wait_for_leaf"),
    "shield": ("shield", "shield_leaf"),
    "generator": ("generator", "generator_leaf"),
    "thread": ("thread", "thread_leaf"),
    "any-thread": ("any thread", "any_thread_leaf"),
    "back": ("back", "back_leaf"),
    "future": ("future", "future_leaf"),
}
# The rest differ from one of these in their access logs, or in the number of workers.
NAMES = (
    "uvicorn",
    "uvicorn-middleware",
    "hypercorn",
    "granian",
    "daphne",
    "gunicorn",
    "gunicorn-hooks",
)
DIFFERENT = only(*NAMES)
# More than the hound samples in one scan; the other servers have one of each.
MANY, MANY_AT = 5, "uvicorn"
FRAME = re.compile(
    r'^  File ".*/tests/site/views/coroutines\.py", line (\d+), in (\w+)$', re.MULTILINE
)


def frames(report: str) -> list[tuple[int, str]]:
    """The lines of the views in a report's stacks: the first one, and those that were added."""
    return [(int(line), name) for line, name in FRAME.findall(report)]


def text_of(site: Site, event: dict[str, Any]) -> str:
    """The report an event names."""
    return (site.dir / "reports" / Path(event["report"]).name).read_text()


@DIFFERENT
def test_slow_coroutines_have_a_report_each_with_their_own_chain(site: Site, server: Asgi) -> None:
    """Each report goes from its own view to its own await, through all that asyncio has."""
    gate = site.gate(f"ways-{server}")
    ways = list(WAYS) * (MANY if server.name == MANY_AT else 1)
    answers = [(way, site.start(f"/way/{way}/{gate.name}/")) for way in ways]
    gate.wait_entered(len(answers))

    def reported() -> list[tuple[str, dict[str, Any], list[tuple[int, str]]]]:
        """Of each slow event its way, and the frames in its report."""
        return [
            (each["req_path"].split("/")[2], each, frames(text_of(site, each)))
            for each in site.events()
            if each["event_type"] == "slow" and gate.name in each["req_path"]
        ]

    # Where many take long to come to their awaits, a report's first stack is of before.
    expected = {way: (line_of(VIEWS, mark), function) for way, (mark, function) in WAYS.items()}
    eventually(
        lambda: sum(expected[way] in found for way, _, found in reported()) == len(answers),
        "reports with the await",
    )
    gate.open()
    for way, answer in answers:
        assert answer.result().text == way
    slow = reported()
    assert len({event["report"] for _, event, _ in slow}) == len(slow) == len(answers)
    for way, event, found in slow:
        assert found[0] == (line_of(VIEWS, "way"), "way"), (way, found)
        leaves = {name for _, name in found if name.endswith("_leaf")}
        assert leaves == {WAYS[way][1]}, (way, found)
        assert event["slow_stack_by"] == "hound"


@only(*NAMES, "gunicorn-hooks-quiet")  # where hooks and no logger are, there is no environ
def test_ten_sync_views_show_the_line_that_blocks_their_thread(site: Site, server: Asgi) -> None:
    """A sync view runs in a thread of an executor, and its report has that thread's frames."""
    gate = site.gate(f"ten-{server}")
    answers = [site.start(f"/gate/{gate.name}/") for _ in range(10)]
    gate.wait_entered(10)
    line = f'views/waiting.py", line {line_of("views/waiting.py", "gated")}, in gated\n'
    eventually(
        lambda: (
            len(
                [
                    r
                    for r in site.reports()
                    if gate.name in r.text.partition("Hostname")[0] and line in r.text
                ]
            )
            == 10
        ),
        "ten reports with the line",
    )
    gate.open()
    for answer in answers:
        assert site.terminal(answer.result().agent)["slow_loc"]


@DIFFERENT
def test_view_behind_a_full_executor_says_what_it_waits_for(site: Site, server: Asgi) -> None:
    """Its own code has not begun: the report says so instead of showing another request's."""
    gate = site.gate(f"queued-{server}")
    first = site.start(f"/queued/1/{gate.name}/")
    gate.wait_entered()
    second = site.start(f"/queued/2/{gate.name}/")
    says = "in waits for a thread of its executor; its only thread is at "
    report = site.wait_report(f"/queued/2/{gate.name}/", says)
    at_work = site.wait_report(f"/queued/1/{gate.name}/", ", in in_executor\n")
    assert "gates.py" in report.text.partition(says)[2].partition("\n")[0]
    assert (line_of(VIEWS, "queued"), "queued") in frames(report.text)
    assert "in_executor" not in [name for _, name in frames(report.text)]
    assert (line_of(VIEWS, "in executor"), "in_executor") in frames(at_work.text)
    gate.open()
    assert [each.result().text for each in (first, second)] == ["1", "2"]


@DIFFERENT
@pytest.mark.parametrize("view", ["blocks", "child-blocks"])
def test_blocked_loop_is_reported_while_it_is_blocked(site: Site, server: Asgi, view: str) -> None:
    """The event names the culprit and its line, before anyone has an answer."""
    waits, gate = site.gate(f"victim-{view}-{server}"), site.gate(f"{view}-{server}")
    victim = site.start(f"/waits/{waits.name}/")
    waits.wait_entered()
    culprit = site.start(f"/{view}/{gate.name}/")
    gate.wait_entered()
    place = f"{VIEWS}:{line_of(VIEWS, view.replace('-', ' '))}:"
    stall = site.wait_event(
        event_type="stall",
        stall_in=lambda text: text and (place in text or "gates.py" in text),
        stall_by=lambda by: view in (by or ""),
    )
    assert not culprit.done()
    assert not victim.done()
    gate.open()
    waits.open()
    by, of = (site.terminal(each.result().agent) for each in (culprit, victim))
    assert stall["stall_kind"] == "loop"
    assert stall["stall_requests"] >= 1  # one whose response is being closed waits, too
    assert by["req_id"] in stall["stall_by"]
    assert of["loop_lag"] > 0
    assert by["req_id"] in of["loop_blocked_by"]
    assert not by.get("loop_lag")
    report = text_of(site, by)
    assert line_of(VIEWS, view.replace("-", " ")) in [line for line, _ in frames(report)]


@only("uvicorn", "granian", "gunicorn")
def test_call_that_holds_the_gil_is_the_views_own(site: Site, server: Asgi) -> None:
    """The hold is attributed to the task that ran, and to no other one of its thread."""
    waits = site.gate(f"beside-power-{server}")
    victims = [site.start(f"/waits/{waits.name}/") for _ in range(3)]
    waits.wait_entered(3)
    held = ask(site, f"power-{server}", f"/power/power-{server}/")
    held.wait_begun()
    try:
        held.wait_held(2 * LEAST_HOLD)
    finally:
        held.release()
    culprit = held.wait_end()
    waits.open()
    others = [site.terminal(victim.result().agent) for victim in victims]
    assert culprit["gil_hold_est"] > 0
    for other in others:
        assert not other.get("gil_hold_est")
        assert culprit["req_id"] in other["gil_held_by"]
