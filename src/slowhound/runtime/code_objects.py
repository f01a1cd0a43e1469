"""Code objects by what they are, and not by what they are equal to.

Two functions of different files may have equal code. To compare or to hash code compares and hashes
its constants, among which may be objects of the application's; and its names may be texts of a
class of the application's. So none of that is asked for.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

# When there are more, all are forgotten: then one may be known twice, which only costs memory.
MOST = 20_000


class Code:
    """Stands for one code object, which it keeps: equal to nothing else, and quick to hash."""

    __slots__ = ("code",)

    def __init__(self, code: CodeType) -> None:
        self.code = code


known: dict[int, Code] = {}


def know(code: CodeType) -> Code:
    """What stands for this code object: the same each time."""
    found = known.get(id(code))
    if found is None:
        if len(known) >= MOST:
            known.clear()
        found = known.setdefault(id(code), Code(code))
    return found


def exact(text: str) -> str:
    """A name of a code object's as a plain str."""
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
