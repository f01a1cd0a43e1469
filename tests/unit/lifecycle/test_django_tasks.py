"""What ``django.tasks`` runs is recorded in process."""

from __future__ import annotations

from typing import Any

import django
import pytest
from django.core.checks import run_checks
from django.test.utils import override_settings

import slowhound
from slowhound.core.in_flight import current_record, in_flight
from slowhound.lifecycle.django_tasks import record_django_tasks
from slowhound.testing import capture_events
from tests.unit.views import query

HAS_TASKS = django.VERSION >= (6, 0)


@pytest.mark.skipif(HAS_TASKS, reason="this Django has django.tasks")
def test_missing_django_tasks_is_a_warning() -> None:
    """The check names the Django that has them; at run time nothing happens."""
    with override_settings(SLOWHOUND={"TASKS": ["django.tasks"]}):
        (found,) = run_checks(tags=["slowhound"])
    assert found.id == "slowhound.W004"
    assert "comes with Django 6.0" in found.msg
    record_django_tasks()


@pytest.mark.skipif(not HAS_TASKS, reason="django.tasks comes with Django 6.0")
class TestDjangoTasks:
    @pytest.fixture(autouse=True)
    def _listening(self) -> Any:
        from django.tasks import signals

        record_django_tasks()
        yield
        signals.task_started.disconnect(dispatch_uid="slowhound")
        signals.task_finished.disconnect(dispatch_uid="slowhound")

    def enqueue(self, function: Any, *given: Any) -> Any:
        from django.tasks import task

        function.__qualname__, function.__module__ = function.__name__, __name__
        globals()[function.__name__] = function
        return task(function).enqueue(*given)

    def test_no_warning(self) -> None:
        """With this Django the setting is right."""
        with override_settings(SLOWHOUND={"TASKS": ["django.tasks"]}):
            assert run_checks(tags=["slowhound"]) == []

    def test_task_has_one_event(self) -> None:
        """The event has Django's id, and the task's own counts."""

        def tidy(times: int) -> None:
            query(times)

        with capture_events() as events:
            result = self.enqueue(tidy, 2)
        (event,) = events
        assert (event["task_kind"], event["task_id"]) == ("django.tasks", result.id)
        assert event["task_name"] == f"{__name__}.tidy"
        assert (event["db_queries"], event["resp_outcome"]) == (2, "ok")

    def test_failure_is_an_error(self) -> None:
        """Django handles the exception; the event has where it was raised."""

        def breaks() -> None:
            raise ValueError("broken")

        with capture_events() as events:
            self.enqueue(breaks)
        (event,) = events
        assert (event["resp_outcome"], event["exc_type"]) == ("error", "ValueError")
        assert event["exc_cause_loc"].endswith(":breaks")

    def test_interrupted_task_ends_with_the_task_around_it(self) -> None:
        """Django sends no signal for an interrupted task: the outer task ends it."""

        def interrupted() -> None:
            raise KeyboardInterrupt

        with capture_events() as events, pytest.raises(KeyboardInterrupt):
            slowhound.task(name="outer")(self.enqueue)(interrupted)
        inner, outer = events
        assert (inner["task_kind"], inner["resp_outcome"]) == ("django.tasks", "cancelled")
        assert (outer["task_name"], outer["resp_outcome"]) == ("outer", "cancelled")
        assert not in_flight
        assert current_record.get() is None
