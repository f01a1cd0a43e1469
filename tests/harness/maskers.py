"""Finds all functions that mask a text, and removes their caches and their limits of length."""

from __future__ import annotations

import inspect
import pkgutil
import random
import sys
from collections.abc import Callable, Iterator
from functools import _lru_cache_wrapper
from importlib import import_module
from typing import Any

import pytest

from slowhound import redaction
from tests.harness.regex_attacks import Attack

Masker = Callable[[str], object]
# The last argument of a masker that takes a number: characters that are shown.
SHOWN = 400
BOUNDLESS = 10**9
# Constants with these endings cut texts; smaller ones are limits of names, keys or words.
CUTS = ("_READ", "_LIMIT")
LEAST_CUT = 300
# What cannot be made of the patterns: secret names, with what may stand around a value.
SEEDS = (
    *(
        "password=",
        "password: ",
        'password="',
        "password='\\'",
        '"token": "',
        "token:=",
        "--token ",
    ),
    *("<password>", "<password a=", "Authorization: Bearer ", "Authorization: ", "bearer "),
    *('\\"password\\": \\"', "password=[", "password[a]", "password={", "password=\\", "&token=a"),
    *("https://u:p@h/?token=", "://u:", "?a=b&", "%70assword%3D", "%25", "&amp;", "#", "-a", "a-"),
    *("a.", "a=", "a:", "A ", "=", ":", "<", "$", "@", " ", "\\", '"', "'", "\n", "[", "(", "/*"),
    *("--", "Key (email)=(", "Duplicate entry '", "LINE 1: ", "near '", "VALUES ('", "N'", "$a$"),
    *("-----BEGIN PRIVATE KEY-----", "4242 ", "4242-", "DE44 ", "0", "a", "_", "é"),
)

SIGNS = ("a", "-", " ", '"', "'", "\n", "\\", "=", ",", "a ")


def seeded(number: int, seed: int = 1) -> list[Attack]:
    """Texts in which the maskers find something, which takes longer than a search."""
    chance, found = random.Random(seed), [Attack(each) for each in SEEDS]
    for _ in range(number):
        one, other = chance.choice(SEEDS), chance.choice((*SEEDS, *SIGNS, *SIGNS))
        kinds = (Attack(one + other), Attack(other, head=one), Attack(one, then=other))
        found.append(chance.choice(kinds))
    return found


def modules() -> list[Any]:
    """The modules of ``redaction/``."""
    infos = pkgutil.walk_packages(redaction.__path__, f"{redaction.__name__}.")
    return [import_module(each.name) for each in infos]


def maskers(limit: int) -> dict[str, Masker]:
    """All public functions from a text, or a text and a number, to a text; and a few more.

    ``limit`` is the number.
    """
    found: dict[str, Masker] = {}
    for module in modules():
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            types = _parameters(value)
            if types in (["str"], ["str", "int"]):
                where = f"{module.__name__.rpartition('.')[2]}.{name}"
                found[where] = value if len(types) == 1 else _limited(value, limit)
    return found | _more()


def _limited(function: Callable[[str, int], str], limit: int) -> Masker:
    return lambda text: function(text, limit)


def _parameters(value: Any) -> list[str]:
    """The types of the required parameters of a function that returns a text."""
    if not (inspect.isfunction(value) or isinstance(value, _lru_cache_wrapper)):
        return []
    signature = inspect.signature(value)
    needed = [each for each in signature.parameters.values() if each.default is each.empty]
    return [str(each.annotation) for each in needed] if signature.return_annotation == "str" else []


def _more() -> dict[str, Masker]:
    from slowhound.instrument import request
    from slowhound.redaction import names
    from slowhound.watch.safe_repr import Printer

    printer = Printer(frozenset())
    return {
        "names.secrecy_of": names.secrecy_of,
        "request.header": request.header,
        "Printer.named": lambda text: printer.named("given", text),
        "Printer.named of bytes": lambda text: printer.named("given", text.encode()),
        "Printer.named of a dict": lambda text: printer.named("given", {text: text}),
        "Printer.named of an environ": lambda text: printer.named("given", {"QUERY_STRING": text}),
    }


def without_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes caches, so that each call does its work."""
    for module, name, value in _variables():
        if isinstance(value, _lru_cache_wrapper):
            monkeypatch.setattr(module, name, value.__wrapped__)


def without_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises the limits, so that texts of any length are read to the end."""
    for module, name, value in _variables():
        if type(value) is int and name.endswith(CUTS) and value >= LEAST_CUT:
            monkeypatch.setattr(module, name, BOUNDLESS)


def _variables() -> Iterator[tuple[Any, str, Any]]:
    ours = ("slowhound.redaction.", "slowhound.instrument.request", "slowhound.watch.safe_repr")
    for name, module in list(sys.modules.items()):
        if name.startswith(ours):
            yield from ((module, each, value) for each, value in list(vars(module).items()))
