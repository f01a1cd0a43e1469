"""Identifies code objects by identity, and reads their names as plain text.

Two functions of different files may have equal code. Comparing or hashing code compares and hashes
its constants, which may be objects of the application's; and its names may be of a str subclass of
the application's. None of that may run here.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

# When there are more, all are forgotten: one may be known twice then, which only costs memory.
MOST_KNOWN = 20_000


class Code:
    """Represents one code object, which it keeps: equal to nothing else, and quick to hash."""

    __slots__ = ("code",)

    def __init__(self, code: CodeType) -> None:
        self.code = code


known: dict[int, Code] = {}


def know(code: CodeType) -> Code:
    """What represents this code object: the same each time."""
    found = known.get(id(code))
    if found is None:
        if len(known) >= MOST_KNOWN:
            known.clear()
        found = known.setdefault(id(code), Code(code))
    return found


def exact(text: str) -> str:
    """A name of a code object as a plain str."""
    return text if type(text) is str else str.__str__(text)


def name_of_code(code: CodeType) -> str:
    """Its name, as a plain str."""
    return exact(code.co_name)


def qualname_of(code: CodeType) -> str:
    """Its qualified name, as a plain str."""
    return exact(code.co_qualname)


def file_of(code: CodeType) -> str:
    """Its file, as a plain str."""
    return exact(code.co_filename)


def module_of(variables: dict[str, Any]) -> str:
    """The name of the module whose variables these are, of a frame or a function; else ``""``."""
    name = dict.get(variables, "__name__")
    return name if type(name) is str else ""
