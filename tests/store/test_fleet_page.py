"""The recipes of docs/fleet.md: their SQL runs, their YAML is complete, their options exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from slowhound.store.clickhouse import ClickHouse, Target
from slowhound.store.clickhouse_rows import encode
from slowhound.store.clickhouse_schema import migrate
from tests.store.events import EVENTS, line

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()
YAML = {
    found[1]: found[2]
    for found in re.finditer(r"```yaml\n# ([\w.-]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
}
SQL = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_raw_lines_become_events(new_table: Callable[[], str]) -> None:
    """Rows of Vector and Fluent Bit are queried like those of `slowhound ship`."""
    target = Target(new_table())
    client = target.connect()
    migrate(client, target)
    (statements,) = [each for each in SQL if "events_raw" in each]
    for name in ("events_from_raw", "events_raw", "events"):
        statements = statements.replace(f"shop.{name}", f"{target.table}{name[6:]}")
    for statement in statements.split(";\n"):
        if statement.strip():
            client.command(statement)
    rows = [
        {"line": line(each).decode().rstrip("\n"), "segment": "/var/events/1770-11-0.jsonl"}
        for each in EVENTS
    ]
    rows.append({"line": '{"torn', "segment": "/var/events/1770-11-0.jsonl"})
    for _ in range(2):  # a restarted agent sends them again
        client.raw_insert(f"{target.table}_raw", insert_block=encode(rows), fmt="JSONEachRow")
    source = ClickHouse(f"{target.name}")
    views = source.ask("views").objects()
    assert [(each["view"], each["n"], each["errors"]) for each in views] == [
        ("cart", 3, 1),
        ("shop", 7, 2),
    ]
    assert source.sql("SELECT count(*), min(segment) FROM events").rows == [
        (len(EVENTS), "1770-11-0")
    ]
    source.close()


def recipe(name: str) -> dict[str, Any]:
    found = yaml.safe_load(YAML[name])
    assert isinstance(found, dict)
    return found


def test_every_recipe_is_complete() -> None:
    """YAML, and each reads the segments."""
    assert set(YAML) == {"vector.yaml", "fluent-bit.yaml", "otel-collector.yaml"}
    for text in YAML.values():
        assert "/var/lib/shop/slowhound/events/*.jsonl" in text


def test_vector_is_wired() -> None:
    """Each part has its input, and the rows have the columns of the raw table."""
    found = recipe("vector.yaml")
    parts = {*found["sources"], *found["transforms"]}
    for each in (*found["transforms"].values(), *found["sinks"].values()):
        assert set(each["inputs"]) <= parts
    assert set(re.findall(r'"(\w+)":', found["transforms"]["rows"]["source"])) == {
        "line",
        "segment",
    }


def test_fluent_bit_is_wired() -> None:
    """The keys are the columns of the raw table, and long lines do not stop it."""
    (source,) = recipe("fluent-bit.yaml")["pipeline"]["inputs"]
    assert (source["key"], source["path_key"]) == ("line", "segment")
    assert source["buffer_max_size"] == "2M"


def test_collector_is_wired() -> None:
    """Its pipeline names components that exist."""
    found = recipe("otel-collector.yaml")
    for pipeline in found["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(found[kind])
    assert set(found["service"]["extensions"]) <= set(found["extensions"])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"--[a-z][a-z-]+", PAGE))))
def test_options_on_the_page_exist(name: str) -> None:
    """Of `ask` and `ship`."""
    assert name in {"--to", "--follow", "--from", "--since", "--keep-days"}
