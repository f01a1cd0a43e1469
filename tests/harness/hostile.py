"""Objects that refuse whatever Python can do with them, and record that it was tried."""

from __future__ import annotations

import datetime as dt
import enum
import subprocess
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import SimpleLazyObject, lazy

# The names of the methods that have been called.
called: list[str] = []


class Called(BaseException):
    """Raised by every method of these objects; no guard catches it."""


def _refuses(name: str) -> Callable[..., Any]:
    def method(*_: object, **__: object) -> Any:
        called.append(name)
        raise Called(name)

    return method


# Python itself calls these, to make an instance and to free it.
NOT_MINE = {"__new__", "__init__", "__init_subclass__", "__subclasshook__", "__doc__", "__module__"}
ALL = sorted(
    {
        name
        for kind in (object, str, int, float, dict, list, tuple, set, bytes, BaseException, deque)
        for name in vars(kind)
        if callable(getattr(kind, name)) and name not in NOT_MINE
    }
    | {"__getattr__", "__class__", "__dict__", "__bool__", "__fspath__", "__index__", "__html__"}
)


OF_EXCEPTIONS = ("args", "__traceback__", "__cause__", "__context__", "__suppress_context__")


def _namespace(*without: str) -> dict[str, Any]:
    methods = {name: _refuses(name) for name in ALL if name not in without}
    for name in ("__class__", "__dict__", *OF_EXCEPTIONS):
        methods[name] = property(_refuses(name))
    return methods


class Meta(type):
    """The metaclass of a class that refuses to be compared, hashed, read or shown."""

    __eq__ = _refuses("Meta.__eq__")
    __hash__ = _refuses("Meta.__hash__")
    __getattribute__ = _refuses("Meta.__getattribute__")
    __instancecheck__ = _refuses("Meta.__instancecheck__")
    __subclasscheck__ = _refuses("Meta.__subclasscheck__")
    __repr__ = _refuses("Meta.__repr__")
    __name__ = property(_refuses("Meta.__name__"))  # type: ignore[assignment]
    __module__ = property(_refuses("Meta.__module__"))  # type: ignore[assignment]


class Zone(dt.tzinfo):
    utcoffset = dst = tzname = _refuses("tzinfo")


class Color(enum.Enum):
    RED = "red"
    __str__ = __repr__ = __format__ = _refuses("enum")


@dataclass
class Data:
    inside: Any
    __repr__ = __str__ = __eq__ = _refuses("dataclass")


Pair = namedtuple("Pair", "one other")  # noqa: PYI024  as in old code


class Unprintable(Exception):
    __str__ = __repr__ = _refuses("exception")


class ToolFailed(subprocess.CalledProcessError):
    """An exception whose ``__str__``, the standard library's, reads an attribute that refuses."""

    cmd = property(_refuses("property"), lambda *_: None)  # type: ignore[assignment]


class ToolWithoutCommand(subprocess.CalledProcessError):
    """An exception whose ``__str__`` reads an attribute that is missing, so ``__getattr__``."""

    __getattr__ = _refuses("__getattr__")

    def __init__(self) -> None:
        super().__init__(1, "tool")
        del self.cmd


def with_values(exc: Exception, **values: Any) -> Exception:
    """The exception with these attributes."""
    for name, value in values.items():
        setattr(exc, name, value)
    return exc


def nested(depth: int) -> Exception:
    """Exceptions that are each the argument of the next one."""
    found = Unprintable("innermost")
    for _ in range(depth):
        found = Unprintable(found)
    return found


def endless_exception() -> Exception:
    """An exception that is among its own arguments, and in a container there."""
    found = Unprintable()
    found.args = (found, {"a": [found]}, Unprintable(found))
    return found


def lazy_text() -> Any:
    """A lazy text, as of a translation."""
    return lazy(_refuses("lazy text"), str)()


def of(built_in: type, *arguments: Any) -> Any:
    """An instance of a subclass of a built-in type, all of whose methods refuse."""
    return built_in.__new__(type("Mine", (built_in,), _namespace()), *arguments)


def filled(built_in: type, contents: Any) -> Any:
    """The same for a container, which is filled by the built-in type's own methods."""
    made = of(built_in)
    if built_in is OrderedDict:  # its __init__ would call the refusing methods
        for key, value in contents.items():
            OrderedDict.__setitem__(made, key, value)
    else:
        built_in.__init__(made, contents)  # type: ignore[misc]
    return made


def plain_object() -> Any:
    """An object of no built-in type."""
    return object.__new__(type("Thing", (), _namespace()))


def of_metaclass() -> Any:
    """An object whose class refuses as well."""
    return object.__new__(type.__new__(Meta, "Odd", (), {}))


def endless() -> list[Any]:
    """A list that contains itself."""
    found: list[Any] = []
    found.append(found)
    return found


MAKERS: tuple[Callable[[], Any], ...] = (
    plain_object,
    of_metaclass,
    endless,
    lambda: of(str, "a text"),
    lambda: of(int, 7),
    lambda: of(int, 10**5000),
    lambda: 10**5000,
    lambda: -(2**63) - 1,
    lambda: of(float, 1.5),
    lambda: of(bytes, b"a\xff"),
    lambda: of(tuple, (1, 2)),
    lambda: filled(dict, {"a": 1}),
    lambda: filled(list, [1]),
    lambda: filled(set, {1}),
    lambda: filled(deque, [1]),
    lambda: filled(OrderedDict, {"a": 1}),
    lambda: defaultdict(_refuses("factory"), a=1),
    lambda: dt.datetime(2026, 1, 2, tzinfo=Zone()),
    lambda: dt.time(1, 2, tzinfo=Zone()),
    lambda: Color.RED,
    lambda: Data(plain_object()),
    lambda: Pair(plain_object(), of(str, "x")),
    lambda: Unprintable("why"),
    lambda: Unprintable(plain_object()),
    lambda: ValueError(plain_object()),
    lambda: KeyError(of(str, "key")),
    lambda: OSError(2, "no", plain_object()),
    lambda: OSError(2, "no", "a", None, plain_object()),
    lambda: of(Exception, "why"),
    ToolWithoutCommand,
    lambda: ToolFailed(1, "tool"),
    lambda: with_values(SyntaxError("x"), msg=lazy_text()),
    lambda: with_values(SyntaxError("x", ("file", 1, 2, "text")), filename=of(str, "file")),
    lambda: with_values(ImportError("x"), msg=of(str, "text")),
    lambda: with_values(UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), reason=lazy_text()),
    lambda: with_values(UnicodeEncodeError("utf-8", "x", 0, 1, "why"), object=lazy_text()),
    lambda: ExceptionGroup("some", [Unprintable(plain_object())]),
    lambda: nested(3),
    lambda: nested(2_000),
    endless_exception,
    lazy_text,
    lambda: SimpleLazyObject(_refuses("lazy object")),  # type: ignore[arg-type]
    lambda: (each for each in [plain_object()]),
    lambda: _refuses("function"),
    lambda: memoryview(b"view"),
    lambda: float("nan"),
    lambda: "\ud800 and more",
    lambda: "x" * 100_000,
    lambda: range(10**5000),
    lambda: type.__new__(Meta, "Odd", (), {}),
    lambda: {plain_object: 1} and {(1, (2, 3)): 4, None: 5, 1.5: 6, b"x": 7},
)
