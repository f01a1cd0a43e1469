"""Settings and their checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import Client
from django.test.utils import override_settings

from slowhound.config import from_django
from slowhound.config.checks import check_folder
from slowhound.config.config import Config, load, problems
from slowhound.config.settings import SETTINGS
from slowhound.recorder.own_box import settings_payload
from slowhound.store.answer import StoreError
from slowhound.store.duckdb import LocalFiles
from slowhound.system import guard

TOO_LARGE = (float("inf"), float("nan"), 10**400)
NUMBERS = (
    "SLOW_AFTER",
    "SAMPLE_AFTER",
    "SAMPLE_HZ",
    "STORE_MAX_BYTES",
    "STORE_MAX_AGE",
    "REPORTS_MAX_BYTES",
)
BAD: list[tuple[str, Any]] = [
    ("ENABLED", "yes"),
    ("DIR", 5),
    ("DIR", "/srv/x\udc80"),  # which is b"/srv/x\x80", and DuckDB reads no such path
    ("FORMAT", "xml"),
    ("STREAM", 1),
    ("SLOW_AFTER", "25"),
    ("SLOW_AFTER", True),
    ("SLOW_AFTER", -1),
    ("SLOW_AFTER", {"view": "x"}),
    ("SLOW_AFTER", {1: 2.0}),
    ("SAMPLE_AFTER", None),
    ("SAMPLE_HZ", 0),
    ("IGNORE", "healthz"),
    ("LOCALS", 1),
    ("MASK", "password"),
    ("MASK", [1]),
    ("MASK", ["("]),
    ("MASK", ["value:"]),
    ("STORE", None),
    ("STORE_MAX_BYTES", 0),
    ("STORE_MAX_AGE", 0),
    ("STORE_MAX_AGE", "30d"),
    ("REPORTS_MAX_BYTES", 1.5),
    ("SAMPLING", {"error": 0.1}),
    ("SAMPLING", {"ok": 2}),
    ("SINKS", "a.b"),
    ("SINKS", [{"no": "sink"}]),
    ("REPORT_LIMIT", 3),
    ("REPORT_LIMIT", (0, 60)),
    ("REPORT_LIMIT", (3, 0)),
    ("REPORT_LIMIT", (3, 60, 1)),
    ("TASKS", ["commands", "celery"]),
    ("FLAMES", None),
    ("FLAMES", {"WHO": "debug"}),
    ("FLAMES", {"ALLOW": "everybody"}),
    ("FLAMES", {"ALLOW": ["token", None]}),
    ("FLAMES", {"ALLOW": None}),
    ("FLAMES", {"EVERY": -1}),
    ("FLAMES", {"SECONDS": 0}),
    ("FLAMES", {"MAX_BYTES": 1.5}),
    ("VIEWER", {"ALLOW": "everyone"}),
    # What the check lets through has to hold in use: sums, waits and files.
    *((key, value) for key in NUMBERS for value in TOO_LARGE),
    *(("FLAMES", {key: value}) for key in ("EVERY", "SECONDS", "MAX_BYTES") for value in TOO_LARGE),
    *(("REPORT_LIMIT", (3, value)) for value in TOO_LARGE),
    *(("REPORT_LIMIT", (value, 60)) for value in TOO_LARGE),
    *(("SLOW_AFTER", {"view": value}) for value in TOO_LARGE),
    *(("SAMPLING", {"ok": value}) for value in TOO_LARGE),
    ("SAMPLE_HZ", 1e-320),
    ("SERVICE", 1),
    ("RELEASE", 1),
]


@pytest.mark.parametrize(("key", "value"), BAD)
def test_bad_value_is_named_and_replaced(key: str, value: Any) -> None:
    """The check says what it must be; the running application uses the default."""
    found = problems({key: value})
    assert [each.key for each in found] == [key]
    assert SETTINGS[key].must_be in found[0].message
    assert load({key: value}) == load({})


@pytest.mark.parametrize("bad", ["(", "value:(", "", "value:", "a{99999999999999999999}", 1, None])
def test_mistake_in_one_entry_of_mask_affects_no_other(bad: Any) -> None:
    """A mistake in one entry does not show what the others mask."""
    given = {"MASK": ["maiden_?name", bad, "value:ACME-.*"]}
    assert load(given).mask == ("maiden_?name", "value:ACME-.*")
    assert [each.key for each in problems(given)] == ["MASK"]


# A value of each setting that is not its default.
GOOD: dict[str, Any] = {
    "ENABLED": False,
    "DIR": "/srv/hound",
    "FORMAT": "json",
    "STREAM": None,
    "SLOW_AFTER": 5,
    "SAMPLE_AFTER": 2,
    "SAMPLE_HZ": 10,
    "IGNORE": ["/health/"],
    "LOCALS": True,
    "MASK": ["maiden_?name"],
    "STORE": False,
    "STORE_MAX_BYTES": 1,
    "STORE_MAX_AGE": None,
    "REPORTS_MAX_BYTES": 1,
    "SAMPLING": {"ok": 0.1},
    "SINKS": ["shop.sinks.Pager"],
    "REPORT_LIMIT": None,
    "TASKS": ["commands"],
    "FLAMES": {"ALLOW": "staff"},
    "VIEWER": {"ALLOW": "staff"},
    "SERVICE": "shop",
    "RELEASE": "1.2",
}


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_is_taken_into_the_config(key: str) -> None:
    """A row of the table that no code reads would be a false promise."""
    assert problems({key: GOOD[key]}) == []
    assert load({key: GOOD[key]}) != load({})


def test_every_default_is_acceptable() -> None:
    """The table agrees with itself, and every setting is tried above."""
    assert problems({key: setting.default for key, setting in SETTINGS.items()}) == []
    assert {key for key, _ in BAD} == set(SETTINGS)


@pytest.mark.parametrize("given", [None, [], "x", 5])
def test_settings_of_the_wrong_shape_are_the_defaults(given: Any) -> None:
    """A SLOWHOUND that is no dict stops nothing."""
    assert load(given) == load({})
    assert problems(given)[0].kind == "shape"


def test_thresholds_by_any_name_of_a_view() -> None:
    """A mapping gives views their own threshold; the star is for all others."""
    config = load({"SLOW_AFTER": {"orders": 2, "shop.views.basket": 0.5, "*": 9}})
    assert config.threshold(("orders", None)) == 2
    assert config.threshold((None, "shop.views.basket")) == 0.5
    assert config.threshold(()) == 9
    assert config.shortest_threshold() == 0.5
    assert load({"SLOW_AFTER": {"orders": 2}}).threshold(()) == 25


def test_ignore_takes_names_and_path_prefixes() -> None:
    """A leading slash makes a prefix, anything else is a name."""
    config = load({"IGNORE": ["orders", "/static/"]})
    assert config.ignored("/x", ("orders",))
    assert config.ignored("/static/a.css", ())
    assert not config.ignored("/orders", ("basket",))


def test_django_checks_number_every_kind_of_problem() -> None:
    """Unknown keys, bad values and a wrong shape are errors with an id and a hint."""
    with override_settings(SLOWHOUND={"SLOW": 5, "STORE": "yes"}):
        found = {each.id: each for each in run_checks(tags=["slowhound"])}
    assert set(found) == {"slowhound.E002", "slowhound.E003"}
    assert "SLOW_AFTER" in (found["slowhound.E002"].hint or "")
    with override_settings(SLOWHOUND=[]):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E001"]


def test_folder_that_no_query_can_read_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is not UTF-8: a relative DIR, or the default one, is in such a folder."""
    monkeypatch.setattr(
        "slowhound.config.checks.get_config", lambda: Config(dir="/srv/x\udc80/dir")
    )
    (found,) = check_folder()
    assert found.id == "slowhound.W002"
    assert "UTF-8" in found.msg
    assert str(found).encode()
    with pytest.raises(StoreError, match="UTF-8"):
        LocalFiles("/srv/x\udc80/dir")


def test_django_checks_the_middlewares_place() -> None:
    """A middleware before slowhound is not measured, which is a warning."""
    ours = "slowhound.middleware.SlowhoundMiddleware"
    other = "django.middleware.common.CommonMiddleware"
    with override_settings(MIDDLEWARE=[other, ours]):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.W001"]
    with override_settings(MIDDLEWARE=[ours, other]):
        assert run_checks(tags=["slowhound"]) == []


def test_switched_off_leaves_nothing_behind(client: Client, configure: Any) -> None:
    """ENABLED = False: no folder, no thread, the plain response."""
    directory = configure(ENABLED=False)
    assert client.get("/").content == b"ok"
    assert not directory.exists()


def test_paths_are_whole_whatever_folder_the_application_goes_to_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the black box, too, where others read where the line of a killed worker goes."""
    monkeypatch.chdir(tmp_path)
    config = load({"DIR": "d", "STREAM": Path("lines.log")})
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert (config.dir, config.stream) == (str(tmp_path / "d"), str(tmp_path / "lines.log"))
    note = json.loads(settings_payload(config, "test"))
    assert (note["dir"], note["stream"]) == (config.dir, config.stream)
    assert [load({"STREAM": each}).stream for each in ("auto", None)] == ["auto", None]


NO_RECORDER = """
import sys
sys.path.insert(0, sys.argv[1])
import django
django.setup()
from slowhound.config.from_django import get_config
from slowhound.recorder import process
from slowhound.runtime.app_files import is_app
get_config()
print(process.get(), is_app(sys.argv[1] + "/shop17/views.py"), is_app(sys.argv[1] + "/other.py"))
"""


def test_settings_make_the_application_known_also_without_a_recorder(tmp_path: Path) -> None:
    """Gunicorn's arbiter and the commands name its frames for workers that cannot."""
    shop = tmp_path / "site-packages" / "shop17"
    shop.mkdir(parents=True)
    for name in ("__init__", "views", "urls"):
        (shop / f"{name}.py").write_text("")
    (shop / "settings.py").write_text("ROOT_URLCONF = 'shop17.urls'\nSECRET_KEY = '-'\n")
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop17.settings"}
    argv = [sys.executable, "-c", NO_RECORDER, str(shop.parent)]
    ran = subprocess.run(argv, check=True, env=env, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["None", "True", "False"]


def test_application_that_cannot_be_known_switches_nothing_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its frames may be named worse, and that is all."""

    def fails() -> None:
        raise LookupError("of a strange sys.path")

    monkeypatch.setattr(from_django, "know_libraries", fails)
    monkeypatch.setattr(guard, "loud", False)
    with override_settings(SLOWHOUND={}):
        assert from_django.get_config().enabled
    assert guard.total == 1


def test_switched_off_slowhound_searches_no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 20,000 entries of each folder on sys.path would be read without need."""
    searches: list[bool] = []
    monkeypatch.setattr(from_django, "know_libraries", lambda: searches.append(True))
    for enabled in (False, True):
        with override_settings(SLOWHOUND={"ENABLED": enabled}):
            assert from_django.get_config().enabled is enabled
        assert searches == [True] * enabled
