"""Public names stay where they are, with the same parameters."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

import pytest

import slowhound

ANY_ARGUMENTS = "(*args, **kwargs)"
# Each public name, with its parameters and their defaults; none for what is no function.
NAMES = {
    "slowhound:Context.get": "(key, *, namespace='app')",
    "slowhound:Context.set": "(key, val, *, namespace='app')",
    "slowhound:Context.time": "(key, *, namespace='app')",
    "slowhound:Context.update": "(*, context, namespace='app')",
    "slowhound:Record": "(method, path, started)",
    "slowhound:current": "()",
    "slowhound:on_error": "(*, return_value, logger_func=None)",
    "slowhound:register_instrumenter": "(cls)",
    "slowhound:task": "(function=None, /, *, name=None, slow_after=None)",
    "slowhound.apps:SlowhoundConfig": "(app_name, app_module)",
    "slowhound.asgi:wrap": "(application)",
    "slowhound.background:task": "(function=None, /, *, name=None, slow_after=None)",
    "slowhound.celery:install": "()",
    "slowhound.cli:main": "(argv=None)",
    "slowhound.context:Context.set": "(key, val, *, namespace='app')",
    "slowhound.context:on_error": "(*, return_value, logger_func=None)",
    "slowhound.middleware:SlowhoundMiddleware": "(get_response)",
    "slowhound.testing:capture_events": "()",
    "slowhound.viewer.urls:app_name": "",
    "slowhound.viewer.urls:urlpatterns": "",
    # The hooks of Gunicorn, which counts their parameters.
    "slowhound.gunicorn:Logger": "(cfg)",
    "slowhound.gunicorn:child_exit": "(server, worker)",
    "slowhound.gunicorn:on_exit": "(server)",
    "slowhound.gunicorn:post_request": "(worker, req, environ, resp)",
    "slowhound.gunicorn:post_worker_init": "(worker)",
    "slowhound.gunicorn:pre_fork": "(server, worker)",
    "slowhound.gunicorn:pre_request": "(worker, req)",
    "slowhound.gunicorn:worker_exit": "(server, worker)",
    # What SINKS names, with the options that its mappings have.
    "slowhound.sinks.email:Email": "(to, sender=None, *, plain=False, follow_ups=True)",
    "slowhound.sinks.logger:PythonLogger": (
        "(name, level='WARNING', brief=False, *, follow_ups=True)"
    ),
    "slowhound.sinks.otel:OpenTelemetry": (
        "(endpoint=None, protocol=None, headers=None, timeout=10.0, signals=('logs', 'metrics'))"
    ),
    "slowhound.sinks.sentry:Sentry": "(dsn=None, **options)",
    "slowhound.sinks.webhook:Webhook": (
        "(url, secret=None, *, format='json', private=False, allow=(), headers=None)"
    ),
    "slowhound.sinks.slack:__name__": "",
    "slowhound.sinks.stream:__name__": "",
    # Users of the replaced packages change only the names in their imports.
    "slowhound.compat.canonical_logs:Context": "",
    "slowhound.compat.canonical_logs:register_instrumenter": (
        "(cls=None, *, registry=<InstrumenterRegistry>)"
    ),
    "slowhound.compat.canonical_logs.event_context:Context": "",
    "slowhound.compat.canonical_logs.event_context:EventContext": "()",
    "slowhound.compat.canonical_logs.glogging:Logger": "(cfg)",
    "slowhound.compat.canonical_logs.instrumenters.protocol:InstrumenterProtocol": ANY_ARGUMENTS,
    "slowhound.compat.canonical_logs.instrumenters.registry:instrumenter_registry": "",
    "slowhound.compat.canonical_logs.instrumenters.registry:register_instrumenter": (
        "(cls=None, *, registry=<InstrumenterRegistry>)"
    ),
    "slowhound.compat.canonical_logs.logfmt:LogFmt.format": "(context)",
    "slowhound.compat.canonical_logs.partial_failure:on_error": (
        "(*, return_value, logger_func=<_print>)"
    ),
    "slowhound.compat.canonical_logs.stack_context:get_stack_loc_context": "(stack_summary)",
    "slowhound.compat.dogslow:WatchdogMiddleware": "(get_response)",
}
# All of Gunicorn's hooks, for `from ...gunicorn_hooks import *`.
HOOKS = """
    child_exit nworkers_changed on_exit on_reload on_starting post_fork post_request
    post_worker_init pre_exec pre_fork pre_request ssl_context when_ready worker_abort worker_exit
    worker_int
"""


class Shown:
    """Shows a default whose own text has an address."""

    def __init__(self, default: Any) -> None:
        self.name = getattr(default, "__name__", type(default).__name__)

    def __repr__(self) -> str:
        return f"<{self.name}>"


def parameters(called: Callable[..., Any]) -> str:
    """The parameters of a function, with defaults and without types."""
    plain = []
    for each in inspect.signature(called).parameters.values():
        is_plain = type(each.default) in {type(None), str, int, float, bool, tuple}
        default = each.default if is_plain or each.default is each.empty else Shown(each.default)
        plain.append(each.replace(annotation=each.empty, default=default))
    return str(inspect.Signature(plain))


@pytest.mark.parametrize(("name", "expected"), NAMES.items(), ids=list(NAMES))
def test_public_name_is_unchanged(name: str, expected: str) -> None:
    """Each public name can be imported, and has the same parameters as before."""
    found = resolve_name(name)
    assert (parameters(found) if callable(found) else "") == expected


def test_all_hooks_of_gunicorn_come_with_one_import() -> None:
    """The star import of the replaced package brings all hooks, and `register_hook`."""
    module = importlib.import_module("slowhound.compat.canonical_logs.gunicorn_hooks")
    assert sorted(module.__all__) == HOOKS.split()
    assert parameters(module.register_hook).startswith("(func=None, *, registry=")


def test_names_of_the_package_are_those_of_its_modules() -> None:
    """The short name and the long one are the same object."""
    assert slowhound.Context is resolve_name("slowhound.context:Context")
    assert slowhound.task is resolve_name("slowhound.background:task")
    assert slowhound.on_error is resolve_name("slowhound.context:on_error")


@pytest.mark.slow  # 5 s
def test_each_public_module_can_be_the_first_import() -> None:
    """Each module can be imported first: each is imported in a new interpreter."""
    # What is included in URLs is imported with the settings.
    modules = {name.partition(":")[0] for name in NAMES} - {"slowhound.viewer.urls"}
    failed = [
        module
        for module in sorted(modules)
        if subprocess.run(
            [sys.executable, "-c", f"import {module}"], capture_output=True, check=False, timeout=60
        ).returncode
    ]
    assert failed == []
