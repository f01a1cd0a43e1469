"""The canonical line as text."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from slowhound.event.formats import clean, json_line, logfmt

PAIR = re.compile(r'([^= ]+)="((?:[^"\\]|\\.)*)"(?: |$)')
anything = st.text(st.characters(codec=None), max_size=30)


def parse(line: str) -> dict[str, str]:
    """Reads a line back without code of slowhound: a value is a JSON string."""
    position, found = 0, {}
    while position < len(line):
        match = PAIR.match(line, position)
        assert match is not None, line[position:]
        found[match[1]] = json.loads(f'"{match[2]}"')
        position = match.end()
    return found


def folded(value: str) -> str:
    return " ".join(re.split(r"\s+", clean(value))).strip() or "-"


@given(st.lists(anything, min_size=1, max_size=5))
@example([' "', "\\", "\x00\x1b[2J", "\u202egnp.exe", 'a\nevent_type="crash"', "\ud800", ""])
@example(["edge ", " edge"])
@example(["%s %(x)s {0}"])
def test_any_text_parses_back(values: list[str]) -> None:
    """Whatever is set comes back, with white space folded and nothing else lost."""
    event = {"event_type": "request"} | {f"app_{n}": value for n, value in enumerate(values)}
    line = logfmt(event)
    assert line.isprintable()
    assert parse(line) == {key: folded(value) for key, value in event.items()}


@given(anything)
def test_any_key_stays_one_key(key: str) -> None:
    """A key cannot end its field or begin another one."""
    assert len(parse(logfmt({"event_type": "request", f"app_{key}": "x"}))) == 2


@given(
    st.dictionaries(
        anything,
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | anything,
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_any_value_is_one_line_of_json(event: dict[str, object]) -> None:
    """A segment's line is valid UTF-8 JSON, whatever an application put into its context."""
    line = json_line(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line[:-1].decode().isprintable()
    assert len(json.loads(line)) == len({clean(key) for key in event})


def test_types_have_the_formats_of_the_line() -> None:
    """Seconds have three decimals, none is a dash, true is lower case, every value is quoted."""
    event = {"s": "x y", "f": 0.12345, "i": 7, "n": None, "b": True, "e": ""}
    expected = 's="x y" f="0.123" i="7" n="-" b="true" e="-"'
    assert logfmt(event) == expected
    assert logfmt({"t": "x", **event}) == f't="x" {expected}'


def test_foreign_types_become_text() -> None:
    """A date, a decimal and an object whose __str__ raises each stay one field."""

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

    event = {
        "event_type": "request",
        "app_when": datetime(2026, 1, 2, tzinfo=UTC),
        "app_price": Decimal("1.20"),
        "app_thing": Hostile(),
        "app_huge": 2**100,
    }
    assert parse(logfmt(event))["app_price"] == "1.20"
    assert parse(logfmt(event))["app_thing"] == "<Hostile>"
    assert json.loads(json_line(event))["app_thing"] == "<Hostile>"


def test_values_nested_in_themselves_are_cut() -> None:
    """A list that holds itself is no endless line."""
    loop: list[object] = []
    loop.append(loop)
    assert len(json_line({"app_loop": loop})) < 200
