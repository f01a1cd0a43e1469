"""Cache calls: each key is counted once, as a hit or a miss, whatever the backend does for it."""

from __future__ import annotations

import asyncio
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial, wraps
from operator import call
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache, caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.instrument.cache_counts import set_apart
from slowhound.recorder import process
from slowhound.testing import capture_events

work: Callable[[], Any] = dict
LOCAL = "django.core.cache.backends.locmem.LocMemCache"


def index(request: HttpRequest) -> HttpResponse:
    work()
    return HttpResponse("ok")


async def later(request: HttpRequest) -> HttpResponse:
    await work()
    return HttpResponse("ok")


urlpatterns = [path("", index), path("later/", later)]


class Own(BaseCache):
    """A backend that does all by itself: its calls do not show what it has done."""

    kept: dict[str, Any]

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.kept = {}

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> None:
        self.kept[key] = value

    def get_or_set(self, key: str, default: Any, *args: Any, **kwargs: Any) -> Any:
        if key not in self.kept:
            self.kept[key] = default() if callable(default) else default
        return self.kept[key]

    async def aget_or_set(self, key: str, default: Any, *args: Any, **kwargs: Any) -> Any:
        return Own.get_or_set.__wrapped__(self, key, default)  # type: ignore[attr-defined]

    def clear(self) -> None:
        self.kept.clear()


class Tiers(LocMemCache):
    """A backend in front of another one."""

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params)
        self.behind = LocMemCache("behind", {})

    def get_or_set(self, key: str, default: Any, *args: Any, **kwargs: Any) -> Any:
        for tier in (self, self.behind):
            found = tier.get(key, self._missing_key)  # type: ignore[attr-defined]
            if found is not self._missing_key:  # type: ignore[attr-defined]
                self.set(key, found)
                return found
        return super().get_or_set(key, default, *args, **kwargs)

    def clear(self) -> None:
        super().clear()
        self.behind.clear()


class AddsFirst(LocMemCache):
    """A backend that reads only where it could not write."""

    def get_or_set(self, key: str, default: Any, *args: Any, **kwargs: Any) -> Any:
        return default if self.add(key, default) else self.get(key)


class Waits(LocMemCache):
    """A backend that awaits the default."""

    async def aget_or_set(self, key: str, default: Any, *args: Any, **kwargs: Any) -> Any:
        found = await self.aget(key, self)
        return await default() if found is self else found


def plain_default() -> int:
    return 5


BACKENDS: dict[str, dict[str, Any]] = {
    "memory": {"BACKEND": LOCAL, "LOCATION": "counted"},
    "database": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache_table",
    },
    "files": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"},
    "tiers": {"BACKEND": f"{__name__}.Tiers"},
}


def use(**backend: Any) -> override_settings:
    return override_settings(CACHES={"default": backend}, ROOT_URLCONF=__name__)


class Router:
    """Gives every database request the test's database."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "cached"

    db_for_write = db_for_read

    def allow_migrate(self, *args: Any, **hints: Any) -> bool:
        return True


@contextmanager
def database(file: Path) -> Iterator[None]:
    """A database in a file, which all threads see."""
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    made = connections.configure_settings({"default": {}, "cached": own})
    connections.settings["cached"] = made["cached"]
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.Router"]):
        call_command("createcachetable", database="cached", verbosity=0)
        yield
    forget()
    asyncio.run(sync_to_async(forget)())


def forget() -> None:
    connections["cached"].close()
    del connections["cached"]


@pytest.fixture(params=BACKENDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The default cache is one of these backends."""
    name: str = request.param
    backend = BACKENDS[name]
    if name == "files":
        backend = {**backend, "LOCATION": str(tmp_path / "cache")}
    needs = database(tmp_path / "cache.sqlite3") if name == "database" else nullcontext()
    with use(**backend), needs:
        cache.clear()
        yield name


def event_of(does: Callable[[], Any], address: str = "/") -> dict[str, Any]:
    global work
    work = does
    with capture_events() as events:
        if address == "/":
            assert Client().get(address).status_code == 200
        else:
            asyncio.run(_get(address))
    return events[-1]


async def _get(address: str) -> None:
    assert (await AsyncClient().get(address)).status_code == 200


def counts(event: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    return event.get("cache_hits"), event.get("cache_misses"), event.get("cache_sets")


def counted(does: Callable[[], Any]) -> tuple[int | None, int | None, int | None]:
    return counts(event_of(does))


def counted_later(does: Callable[[], Any]) -> tuple[int | None, int | None, int | None]:
    return counts(event_of(does, "/later/"))


KEYS: dict[str, Callable[[], Any]] = {
    "generator": lambda: (key for key in ("a", "b", "c")),
    "iterator": lambda: iter(["a", "b", "c"]),
    "map": lambda: map(str, ["a", "b", "c"]),
    "list": lambda: ["a", "b", "c"],
    "twice the same": lambda: iter(["a", "b", "c", "c", "a"]),
    "twice in a list": lambda: ["a", "b", "c", "c", "a"],
    "tuple": lambda: ("a", "b", "c"),
    "set": lambda: {"a", "b", "c"},
    "keys of a dict": {"a": 1, "b": 1, "c": 1}.keys,
    "values of a dict": {1: "a", 2: "b", 3: "c"}.values,
    "dict": lambda: OrderedDict(a=1, b=1, c=1),
    "text": lambda: "abc",
}


@pytest.mark.parametrize("keys", KEYS)
def test_keys_that_are_missing_are_counted(kind: str, keys: str) -> None:
    """get_many counts its misses, whatever the keys are: also a generator's."""
    cache.set("a", 1)
    assert counted(lambda: cache.get_many(KEYS[keys]())) == (1, 2, 0)
    assert counted(lambda: cache.get_many(keys=KEYS[keys]())) == (1, 2, 0)
    assert counted_later(lambda: cache.aget_many(KEYS[keys]())) == (1, 2, 0)


def test_backend_gets_all_keys(kind: str) -> None:
    """Counting keys on their way loses none."""
    found: list[Any] = []
    cache.set_many({"a": 1, "b": 2})
    event_of(lambda: found.append(cache.get_many(key for key in "abc")))
    event_of(lambda: found.append(cache.get_many(key for key in ())))
    event_of(lambda: cache.delete_many(key for key in "ab"))
    assert found == [{"a": 1, "b": 2}, {}]
    assert cache.get("a") is None


def test_length_of_others_is_not_asked_for(kind: str) -> None:
    """Keys of a class of the application have no count, because its code would have to run."""

    class Lazy:
        def __iter__(self) -> Iterator[str]:
            return iter("abc")

        def __len__(self) -> int:
            raise AssertionError("asked")

        def __bool__(self) -> bool:
            return True

    cache.set("a", 1)

    def does() -> None:
        cache.get("missing")
        cache.get_many(Lazy())  # type: ignore[arg-type]
        cache.get("missing")

    assert counted(does) == (1, None, 0)


def test_cache_calls_of_a_generator_are_its_own(kind: str) -> None:
    """What the application does between two keys counts as it does elsewhere."""

    def keys() -> Iterator[str]:
        cache.get("missing")
        yield "a"
        cache.set("a", 1)
        yield "b"

    hits, misses, sets = counted(lambda: cache.get_many(keys()))
    # Some backends ask for each key at once, others for all of them in the end.
    assert (hits, misses, sets) in ((0, 3, 1), (1, 2, 1))


def test_get_or_set_counts_one_key(kind: str) -> None:
    """One miss, or one hit, never two."""
    assert counted(lambda: cache.get_or_set("a", 1)) == (0, 1, 1)
    assert counted(lambda: cache.get_or_set("a", 1)) == (1, 0, 0 if kind != "tiers" else 1)
    assert counted(lambda: cache.get_or_set("n", None)) == (0, 1, 1)
    assert counted(lambda: cache.get_or_set(key="b", default=lambda: [1])) == (0, 1, 1)


def test_get_or_set_counts_one_key_in_an_event_loop(kind: str) -> None:
    """The async methods count the same."""
    assert counted_later(lambda: cache.aget_or_set("a", 1)) == (0, 1, 1)
    # From Django 6.1 on it calls the sync method of a backend that has one of its own.
    assert counted_later(lambda: cache.aget_or_set("a", 1))[:2] == (1, 0)
    assert counted_later(lambda: cache.aget_or_set("b", lambda: [1])) == (0, 1, 1)


def test_calls_of_the_default_are_its_own(kind: str) -> None:
    """The application's function may use the cache, too."""

    class Default:
        def __call__(self) -> int:
            return self.method()

        def method(self) -> int:
            cache.get("other")
            return helper()

    def helper() -> int:
        cache.set("third", 1)
        return cache.get_or_set("fourth", lambda: 4)

    def deep(calls: int = 40) -> int:
        return deep(calls - 1) if calls else helper()

    ways: dict[Callable[[], Any], int] = {
        lambda: helper: 2,
        lambda: partial(helper): 2,
        lambda: lru_cache(helper): 2,
        lambda: partial(call, helper): 2,
        lambda: deep: 2,
        Default: 3,
        lambda: Default().method: 3,
        lambda: lru_cache(Default()): 3,
    }
    for way, misses in ways.items():
        cache.clear()
        assert counted(lambda way=way: cache.get_or_set("a", way())) == (0, misses, 3)
        if kind == "database":
            continue  # its sync methods refuse to be called in an event loop
        cache.clear()
        assert counted_later(lambda way=way: cache.aget_or_set("a", way())) == (0, misses, 3)


def test_calls_of_a_default_that_waits_are_its_own() -> None:
    """They are its own also where a backend awaits it."""

    async def default() -> Any:
        return await cache.aget("other")

    with use(BACKEND=f"{__name__}.Waits"):
        cache.clear()
        assert counted_later(lambda: cache.aget_or_set("a", default)) == (0, 2, 0)


def test_default_is_the_functions_to_a_backend_that_hands_it_on() -> None:
    """A backend may have another process call it."""
    made = set_apart(plain_default, lambda: lambda: None)
    assert (made(), made.__name__) == (5, "plain_default")
    assert pickle.loads(pickle.dumps(made)) is plain_default


@pytest.mark.parametrize("value", [0, False, "", None, 1000], ids=repr)
def test_cached_value_that_is_the_default_as_well_was_found(kind: str, value: Any) -> None:
    """The application gets what it would get, of the same type."""
    if kind == "tiers":
        pytest.skip("not one of Django's own backends, which may do anything with a default")
    found: list[Any] = []
    get = lambda: found.append(cache.get("a", value))  # noqa: E731
    assert counted(get) == (0, 1, 0)
    assert found[0] is value
    cache.set("a", value)
    assert counted(get) == (1, 0, 0)
    assert (found[1], type(found[1])) == (value, type(value))
    if kind != "database":
        assert counted_later(lambda: cache.aget("a", default=value)) == (1, 0, 0)
        assert counted_later(lambda: cache.aget("b")) == (0, 1, 0)


class Patched:
    """An application's ``get`` in the place of Django's, with a second level behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, on: Any) -> None:
        original, self.defaults = on.get, list[Any]()

        @wraps(original)
        def get(*args: Any, **kwargs: Any) -> Any:
            self.defaults.append(kwargs.get("default", args[-1]))
            found = original(*args, **kwargs)
            return "second level" if found is None else found

        monkeypatch.setattr(on, "get", get)


def test_function_that_an_application_has_put_into_djangos_class_gets_its_own_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only Django's own code gets another default; the result counts either way."""
    found: list[Any] = []

    async def later() -> None:
        found.append(await cache.aget("a", None))

    with use(BACKEND=LOCAL, LOCATION="patched"):
        process.stop()
        patched = Patched(monkeypatch, LocMemCache)
        assert counted(lambda: found.append(cache.get("a", None))) == (1, 0, 0)
        assert counted_later(later) == (1, 0, 0)
    assert (found, patched.defaults) == (["second level"] * 2, [None, None])


@pytest.mark.parametrize("of", ["class", "object"])
def test_function_that_comes_after_the_start_gets_its_own_default(
    monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """Django's ``aget`` calls the ``get`` that is there; its result counts."""
    found: list[Any] = []
    patched: list[Patched] = []

    async def later() -> None:
        on: Any = LocMemCache if of == "class" else caches["default"]
        patched.append(Patched(monkeypatch, on))
        found.append(await cache.aget("a", None))
        monkeypatch.undo()

    with use(BACKEND=LOCAL, LOCATION="patched"):
        assert counted_later(later) == (1, 0, 0)
    assert (found, patched[0].defaults) == (["second level"], [None])


def test_default_that_fails_was_a_miss(kind: str) -> None:
    """The key was not found; the exception is the application's."""

    def fails() -> None:
        raise LookupError

    def does() -> None:
        with pytest.raises(LookupError):
            cache.get_or_set("a", fails)
        cache.get("a")

    assert counted(does) == (0, 2, 0)


def test_other_one_may_have_written_meanwhile(kind: str) -> None:
    """That is a miss, and the stored value is not the default."""

    def race() -> int:
        cache.set("a", 1)
        return 2

    assert counted(lambda: cache.get_or_set("a", race)) == (0, 1, 1)


def test_second_of_two_caches_has_it() -> None:
    """That is one hit."""
    with use(BACKEND=f"{__name__}.Tiers"):
        cache.clear()
        cache.behind.set("a", 1)  # type: ignore[attr-defined]
        assert counted(lambda: cache.get_or_set("a", 2)) == (1, 0, 1)


def test_backend_that_adds_first() -> None:
    """A key that it could add was missing, another one was there."""
    with use(BACKEND=f"{__name__}.AddsFirst"):
        cache.clear()
        assert counted(lambda: cache.get_or_set("a", 1)) == (0, 1, 1)
        assert counted(lambda: cache.get_or_set("a", 2)) == (1, 0, 0)


def test_what_a_backend_does_in_its_own_way_is_left_out() -> None:
    """Whether the key was there is not known, so the sums are not known either."""
    with use(BACKEND=f"{__name__}.Own"):
        for add in (0, 1):
            assert counted(lambda add=add: cache.get_or_set("a", add)) == (None, None, None)
        assert counted(lambda: cache.get("a")) == (1, 0, 0)
        assert counted(lambda: [cache.get("a"), cache.get_or_set("a", 1)]) == (None, None, None)
        event = event_of(lambda: cache.aget_or_set("a", 1), "/later/")
        assert counts(event) == (None, None, None)
        assert event["cache_time"] >= 0


def test_key_is_there_or_not(kind: str) -> None:
    """``in`` and has_key count the same with each backend."""
    cache.set("a", 1)
    assert counted(lambda: ["a" in cache, "b" in cache, cache.has_key("c")]) == (1, 2, 0)
    assert counted_later(lambda: cache.ahas_key("a")) == (1, 0, 0)


def test_what_could_not_be_added_is_not_set(kind: str) -> None:
    """The key was there."""
    cache.set("a", 1)
    assert counted(lambda: [cache.add("a", 2), cache.add("b", 2)]) == (0, 0, 1)


def test_what_expires_at_once_is_not_set(kind: str) -> None:
    """An application deletes a key by a timeout of 0 or less."""

    def does() -> None:
        cache.set("a", 1, timeout=0)
        cache.set("b", 1, -5)
        cache.set("c", 1, 0.0)  # type: ignore[arg-type]
        cache.set_many({"d": 1}, timeout=0)
        cache.set_many({"e": 1}, -1)
        cache.add("f", 1, timeout=0)

    assert counted(does) == (0, 0, 0)
    assert counted(lambda: cache.get_or_set("g", 1, timeout=0)) == (0, 1, 0)
    assert counted(lambda: cache.set("a", 1, timeout=None)) == (0, 0, 1)
    assert counted_later(lambda: cache.aset("a", 1, timeout=0)) == (0, 0, 0)


class OnlyNew(LocMemCache):
    """Like django-redis, whose ``set`` returns whether it has written."""

    def set(self, key: str, value: Any, *args: Any, nx: bool = False, **kwargs: Any) -> Any:
        if nx:
            return self.add(key, value, *args, **kwargs)
        super().set(key, value, *args, **kwargs)
        return True


def test_set_that_has_not_written_is_none() -> None:
    """The key was there, and only a new one was to be set."""

    def does() -> None:
        for number in range(3):
            cache.set("a", number, nx=True)  # type: ignore[call-arg]
        cache.set("b", 1)

    with use(BACKEND=f"{__name__}.OnlyNew"):
        cache.clear()
        assert counted(does) == (0, 0, 2)


def test_keys_that_are_set_at_once_are_counted(kind: str) -> None:
    """Each of them counts."""
    assert counted(lambda: cache.set_many({"a": 1, "b": 2})) == (0, 0, 2)
    assert counted_later(lambda: cache.aset_many(OrderedDict(a=1, b=2))) == (0, 0, 2)


def test_two_calls_at_once_are_two(kind: str) -> None:
    """Tasks of one request do not take each other's calls for parts of their own."""

    async def both() -> None:
        await asyncio.gather(
            cache.aget_or_set("a", 1), cache.aget("b"), cache.aget_many(iter("cd"))
        )

    assert counted_later(both) == (0, 4, 1)


def test_call_that_outlives_another_one_counts() -> None:
    """A task that was begun within a call goes on after that."""
    with use(BACKEND=LOCAL):
        cache.clear()

        async def does() -> None:
            begun: list[asyncio.Task[Any]] = []

            async def goes_on() -> None:
                await asyncio.sleep(0)
                for _ in range(3):
                    await cache.aget("missing")

            def default() -> int:
                begun.append(asyncio.get_running_loop().create_task(goes_on()))
                return 1

            await cache.aget_or_set("a", default)
            await asyncio.gather(*begun)

        hits, misses, sets = counted_later(does)
        assert (hits, sets) == (0, 1)
        assert misses is not None
        assert misses >= 2


def test_backend_that_a_test_sets_after_the_start_is_counted() -> None:
    """As with locmem in place of Redis; afterwards nothing is left of it."""
    own = Own.get
    with use(BACKEND="django.core.cache.backends.dummy.DummyCache"):
        assert counted(lambda: cache.get("a")) == (0, 1, 0)
        with use(BACKEND=f"{__name__}.Own"):
            assert counted(lambda: cache.get("a")) == (0, 1, 0)
            cache.set("a", 1)
            assert counted(lambda: cache.get("a")) == (1, 0, 0)
    process.stop()
    assert Own.get is own
