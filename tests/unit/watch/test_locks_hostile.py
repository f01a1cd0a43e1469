"""Locks are found without calling any of the application's code."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slowhound.runtime.attributes import UnknownError, attribute
from slowhound.system.thread_state import waiting_for
from tests.unit.watch.lock_stage import Stage, enter, until

touched: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_is_touched() -> None:
    touched.clear()


class Shop:
    """An application of which nothing may be called while its stacks are read."""

    __slots__ = ("__private", "__weakref__", "plain", "slot")

    def __init__(self) -> None:
        self.plain = threading.Lock()
        self.slot = threading.RLock()
        self.__private = threading.Lock()

    @property
    def shown(self) -> Any:
        if threading.current_thread() is threading.main_thread():
            touched.append("property")
        return self.plain

    def __getattr__(self, name: str) -> Any:
        if threading.current_thread() is threading.main_thread():
            touched.append(name)
        return object.__getattribute__(self, "plain")

    def take_private(self) -> None:
        with self.__private:
            pass

    def hold_private(self, inside: Callable[[], Any]) -> None:
        with self.__private:
            inside()


def test_slots_and_private_names_are_found(stage: Stage) -> None:
    """Also attributes in slots, and those whose names begin with two underscores."""
    shop = Shop()

    def waits_for_slot() -> None:
        with shop.slot:
            pass

    private = stage.start(shop.hold_private, stage.over.wait)
    until(lambda: str(waiting_for(stage.started[private])) == "a lock")
    slot = stage.hold(shop.slot)
    first, second = stage.start(waits_for_slot), stage.start(shop.take_private)
    found = stage.waits_of(first, second)
    assert (found[first].owner, found[first].lock) == (slot, "RLock shop.slot")
    assert (found[second].owner, found[second].lock) == (private, "lock self.__private")


def test_no_property_is_run(stage: Stage) -> None:
    """What cannot be known without the application's code stays unknown."""
    shop = Shop()

    def by_property() -> None:
        with shop.shown:
            pass

    def by_getattr() -> None:
        with shop.missing:
            pass

    stage.hold(shop.plain)
    idents = [stage.start(by_property), stage.start(by_getattr)]
    found = stage.waits_of(*idents)
    assert touched == []
    assert not found.keys() & set(idents)


def test_names_of_a_frame_stay_what_they_are(stage: Stage) -> None:
    """A dict that the application got from locals() is not refreshed under its hands."""
    lock, seen = threading.Lock(), []

    def holder() -> None:
        name = "own"
        mine = locals()
        mine["name"] = "changed"
        with lock:
            stage.over.wait()
        seen.append((mine["name"], name))

    stage.start(holder)
    until(lock.locked)
    waiter = stage.start(enter, lock)
    stage.waits_of(waiter)
    stage.over.set()
    stage.join()
    assert seen == [("changed", "own")]


class Meta(type):
    """Of classes none of whose methods may be called."""

    def __subclasscheck__(cls, other: type) -> bool:
        touched.append("metaclass")
        return True

    __instancecheck__ = __subclasscheck__  # type: ignore[assignment]
    covered = property(lambda cls: touched.append("property"))

    def __eq__(cls, other: object) -> bool:
        touched.append("metaclass")
        return cls is other

    def __hash__(cls) -> int:
        touched.append("metaclass")
        return 1


class Kept(metaclass=Meta):
    """Attributes of an instance and its class, each of them a lock."""

    __slots__ = ("__dict__", "slot")
    shared = threading.RLock()
    covered = threading.RLock()  # type: ignore[assignment]

    @functools.cached_property
    def cached(self) -> Any:
        return threading.RLock()

    def __init__(self) -> None:
        self.slot, self.own = threading.RLock(), threading.RLock()
        self.cached  # noqa: B018


def enter_attributes(kept: Kept, name: str) -> None:
    if name == "slot":
        with kept.slot:
            pass
    elif name == "own":
        with kept.own:
            pass
    elif name == "cached":
        with kept.cached:
            pass
    elif name == "shared":
        with kept.shared:
            pass
    else:
        with Kept.shared:
            pass


@pytest.mark.parametrize("name", ["slot", "own", "cached", "shared", "class"])
def test_attributes_are_found_without_their_class(stage: Stage, name: str) -> None:
    """Slots, attributes, cached properties and a class's own are read; no metaclass is called."""
    kept = Kept()
    holder = stage.hold(getattr(kept, name.replace("class", "shared")))
    waiter = stage.start(enter_attributes, kept, name)
    stage.waits_of(waiter)
    touched.clear()
    found = stage.waits_of(waiter)
    assert touched == []
    assert found[waiter].owner == holder


class Covered:
    """Attributes that are hidden by something of the class's own."""

    shown = property(lambda self: touched.append("property"))
    __slots__ = ("__dict__", "empty")


class Odd:
    """Has no attributes but those that it makes up."""

    __dict__ = property(lambda self: touched.append("dict"))  # type: ignore[assignment]


def test_attribute_that_needs_code_is_unknown(stage: Stage) -> None:
    """Properties, empty slots and an odd ``__dict__`` are left alone."""
    covered = Covered()
    covered.__dict__["shown"] = 1
    for thing, name in (
        (covered, "shown"),
        (covered, "empty"),
        (Covered, "shown"),
        (Covered, "empty"),
        (Kept, "covered"),
        (Covered, "__name__"),
        (covered, "missing"),
        (Odd(), "missing"),
        (object(), "missing"),
    ):
        with pytest.raises(UnknownError):
            attribute(thing, name)
    assert attribute(threading, "_active") is threading._active  # type: ignore[attr-defined]
    assert touched == []


class Globals(dict[str, Any]):
    """A namespace for exec that records when it is read."""

    def __contains__(self, key: object) -> bool:
        touched.append("contains")
        return super().__contains__(key)

    def __getitem__(self, key: str) -> Any:
        touched.append("item")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        touched.append("get")
        return super().get(key, default)


def test_namespaces_of_one_s_own_are_not_called(stage: Stage, tmp_path: Path) -> None:
    """What ``exec`` was given for globals is read as the dict that it is."""
    source = tmp_path / "own.py"
    source.write_text("def f():\n    with lock:\n        pass\n")
    names = Globals(lock=threading.RLock())
    exec(compile(source.read_text(), str(source), "exec"), names)
    holder = stage.hold(dict.__getitem__(names, "lock"))
    waiter = stage.start(dict.__getitem__(names, "f"))
    stage.waits_of(waiter)
    touched.clear()
    assert stage.waits_of(waiter)[waiter].owner == holder
    assert touched == []
