"""``slowhound doctor``: which servers are installed here."""

from __future__ import annotations

import pytest

from slowhound.cli.diagnostics import installation


def test_servers_that_are_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with what slowhound records under it; the others are left out."""
    here = {"gunicorn", "gevent", "uvicorn", "daphne"}
    monkeypatch.setattr(installation, "_installed", lambda name: name in here)
    found = [each.subject for each in installation.servers()]
    assert found == [
        "Gunicorn sync, gthread",
        "Gunicorn gevent",
        "uvicorn, daphne",
        "other servers",
    ]


def test_module_of_a_missing_package_is_not_installed() -> None:
    """As the asgi worker, which older Gunicorns do not have."""
    assert not installation._installed("no_such_package.workers.gasgi")
