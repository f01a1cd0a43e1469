"""Reports in a Python logger, as the formatters of real libraries write them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter

from slowhound.sinks.logger import PythonLogger
from tests.harness.reports import dead_report, finished, slow_report

NAME = "slowhound.tests.shop"


def structured() -> logging.Formatter:
    """structlog's formatter for records of the standard library, with their ``extra``."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ],
    )


@pytest.fixture(params=[structured, JsonFormatter], ids=["structlog", "python-json-logger"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a handler with this formatter writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(request.param())
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.propagate = False
    yield out
    logger.removeHandler(handler)
    logger.propagate = True


def logged(lines: io.StringIO) -> list[dict[str, Any]]:
    """One object a line: no request's path can end it."""
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_report_is_one_structured_line(lines: io.StringIO) -> None:
    """The event's fields, the id and the group are beside the message."""
    PythonLogger(NAME).deliver(slow_report(held_back=3, req_path="/\r\n\x1b[31m"))
    (found,) = logged(lines)
    assert found["message"].startswith("Slow Request Watchdog: shop.views.checkout, GET http://")
    assert found["slowhound"]["resp_time"] == 31.25
    assert found["slowhound_id"] == "request-1.slow"
    assert found["slowhound_kind"] == "slow"
    assert found["slowhound_group"] == "0123456789ab"
    assert found["slowhound_held_back"] == 3
    assert found["slowhound_first_seen"] is False


def test_end_of_a_request_is_a_line_of_its_own(lines: io.StringIO) -> None:
    """With the id of its report; not with ``follow_ups=False``."""
    report = slow_report(finished=finished())
    PythonLogger(NAME).follow_up(report)
    PythonLogger(NAME, follow_ups=False).follow_up(report)
    (found,) = logged(lines)
    assert "Finished after 40.500 s: status 200, outcome ok." in found["message"]
    assert (found["slowhound_kind"], found["slowhound_id"]) == ("finished", "request-1.slow")
    assert found["slowhound_finished"]["seconds"] == 40.5


@pytest.mark.parametrize("brief", [False, True])
def test_death_is_logged(lines: io.StringIO, brief: bool) -> None:
    """With its cause, and its event."""
    PythonLogger(NAME, brief=brief).deliver(dead_report())
    (found,) = logged(lines)
    assert found["message"].startswith("Worker died (oom): shop.views.import_all")
    assert found["slowhound"]["crash_signal"] == "SIGKILL"
    assert ("rows.py" in found["message"]) is not brief


@pytest.mark.parametrize(("level", "name"), [("ERROR", "ERROR"), (20, "INFO")])
def test_level_is_a_name_or_a_number(
    caplog: pytest.LogCaptureFixture, level: int | str, name: str
) -> None:
    """As given; an unknown name is refused when the sink is made."""
    caplog.set_level(logging.DEBUG, NAME)
    PythonLogger(NAME, level).deliver(slow_report())
    assert [record.levelname for record in caplog.records] == [name]
    with pytest.raises(KeyError):
        PythonLogger(NAME, "LOUD")
