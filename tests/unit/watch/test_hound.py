"""The hound does each task at once, and then as often as the task wants."""

from __future__ import annotations

from types import SimpleNamespace

from slowhound.watch.hound import Hound, Task

TURN = SimpleNamespace(tick=0.25, scan=float, asleep=float, awake=int)


def test_tasks_are_done_as_often_as_they_want() -> None:
    """The calls are a second apart; the hound's own thread is not needed to count them."""
    done: list[str] = []
    tasks = [
        Task("often", lambda: done.append("often")),
        Task("seldom", lambda: done.append("seldom"), every=3),
    ]
    hound = Hound(TURN, tasks)
    for _ in range(4):
        hound.run_tasks()
    assert done == ["often", "seldom", "often", "often", "often", "seldom"]
