"""One record for each greenlet: its own stack, its own counts, its own end."""

from __future__ import annotations

import json
import re

from tests.gevent.kinds import WAITS
from tests.harness.accounts import check_once
from tests.harness.client import exchange
from tests.harness.site import Site
from tests.harness.waiting import eventually

EACH = 5


def test_hound_is_a_thread_of_the_operating_system(shared: Site) -> None:
    """It is not one of the greenlets' thread."""
    inside = json.loads(shared.get("/inside/").body)
    assert inside["alive"]
    assert inside["hound"] != inside["main"]


def test_each_of_fifty_greenlets_is_reported_with_its_own_stack(shared: Site) -> None:
    """Fifty slow requests that wait in ten ways: each report has its own locals and no other's."""
    badges = {f"badge{number}x": kind for number, kind in enumerate(list(WAITS) * EACH)}
    answers = {
        badge: shared.start(f"/waits/{kind}/fifty/?badge={badge}") for badge, kind in badges.items()
    }
    shared.gate("fifty").wait_entered(len(badges))
    # A first sample may have been before they waited.
    found = {
        badge: shared.wait_report(f"?badge={badge}\n", ", in _until_open\n") for badge in badges
    }
    assert len({report.path for report in found.values()}) == len(badges)
    shared.gate("fifty").open()
    agents = [answer.result().agent for answer in answers.values()]
    check_once(shared, agents)
    for badge, report in found.items():
        text = report.path.read_text()
        assert set(re.findall(r"badge\d+x", text)) == {badge}
        others = set(WAITS) - {badges[badge]}
        assert not [other for other in others if f", in {other}\n" in text]
    slow = [
        event
        for event in shared.events()
        if event["event_type"] == "slow" and event["req_path"].endswith("/fifty/")
    ]
    assert sorted(event["req_user_agent"] for event in slow) == sorted(agents)


def test_counts_stay_with_their_greenlets(shared: Site) -> None:
    """Queries and Context of requests that take turns at each query are each one's own."""
    wanted = [number % 7 for number in range(42)]
    answers = [shared.start(f"/counts/{number}/") for number in wanted]
    events = [shared.terminal(answer.result().agent) for answer in answers]
    assert [event.get("db_queries", 0) for event in events] == wanted
    assert [event.get("app_asked", 0) for event in events] == wanted


def test_queries_of_greenlets_with_the_requests_context_are_its_own(shared: Site) -> None:
    """A greenlet counts for the request that gave it its context; one without, for none."""
    answers = {number: shared.start(f"/spawns-counting/{number}/") for number in (3, 4, 5)}
    found = {
        number: shared.terminal(answer.result().agent)["db_queries"]
        for number, answer in answers.items()
    }
    assert found == {3: 3, 4: 4, 5: 5}


def test_greenlet_that_outlives_its_request_changes_nothing(shared: Site) -> None:
    """What a left-behind greenlet does is attributed to no request."""
    answer = shared.get("/spawns/left/")
    event = shared.terminal(answer.agent)
    shared.gate("left").open()
    eventually((shared.scratch / "left.left").exists, "its end")
    check_once(shared, [answer.agent, shared.get("/ok/").agent])
    assert not event.get("report")
    assert not [each for each in shared.events() if "app_left" in each]


def test_requests_of_one_connection_have_an_event_each(shared: Site) -> None:
    """One greenlet serves all the requests of a connection."""
    with shared.connection() as connection:
        agents = [
            exchange(connection, "GET", path).agent for path in ("/ok/", "/n1/", "/raise/", "/ok/")
        ]
    check_once(shared, agents)
    events = [shared.terminal(agent) for agent in agents]
    assert [event.get("db_queries") for event in events] == [None, 7, None, None]


def test_work_in_the_pool_of_threads_is_waited_for(shared: Site) -> None:
    """A request whose work is in a thread of the hub's is reported where it waits for that."""
    answer = shared.start("/fetch/pool/")
    report = shared.wait_report("/fetch/pool/", ", in fetch\n")
    shared.gate("pool").open()
    assert ", in _in_thread\n" not in report.text
    check_once(shared, [answer.result().agent])


def test_timeout_of_gevents_is_an_error(shared: Site) -> None:
    """A gevent.Timeout that leaves the view is answered by Gunicorn with status 500."""
    answer = shared.get("/too-long/")
    event = shared.terminal(answer.agent)
    assert (answer.status, event["resp_status"], event["resp_outcome"]) == (500, 500, "error")
    check_once(shared, [answer.agent])


def test_greenlet_that_is_killed_has_its_event(shared: Site) -> None:
    """GreenletExit ends a request as killed."""
    wire = shared.open("/kill/never/")
    wire.read_what_comes()
    event = shared.terminal(wire.agent)
    assert (event["event_type"], event["resp_outcome"]) == ("request", "killed")
    check_once(shared, [wire.agent])
