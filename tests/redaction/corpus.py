"""Reads the corpus of secret and harmless texts, the ``*.jsonl`` beside this, and judges it.

A line is ``[kind, text]``. Kinds are ``secret-``, ``harmless-`` or, of names that are hidden only
where they came with data, ``doubtful-``; and one of

- ``name``: of a field, a parameter, a header, a variable;
- ``text``: any one, of a client or of the application;
- ``message``: of an exception that a database may have raised;
- ``source``: a line of Python.

In a text ``%R20%`` stands for 20 random alphanumeric characters, ``%U16%`` for 16 of them in upper
case, ``%H32%`` for 32 hexadecimal digits, ``%X%`` for an empty text, so that no scanner takes a
line for a leaked secret. ``hunter2...`` is a secret, too.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slowhound.redaction.masking import message, text
from slowhound.redaction.source.lines import source
from slowhound.redaction.structures import masked

HERE = Path(__file__).parent
SECRET_VALUE = "hunter2hunter2"
FILLINGS = 5  # times that each placeholder is filled
_PLACEHOLDER = re.compile(r"%([RUHX])(\d*)%")
_CHARACTERS = {
    "R": string.ascii_letters + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "H": string.digits + "abcdef",
    "X": "",
}
# The secret in a text without a placeholder: a password, a card, an account.
_CORE = re.compile(
    r"hunter2\w*|(?<!\w)(?:\d(?:[ -]?\d){11,18}|[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})(?!\w)"
)


@dataclass
class Score:
    """Numbers of secret and harmless texts of one kind, and those that were judged wrongly."""

    secret: int = 0
    harmless: int = 0
    leaked: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share of the secrets that are hidden."""
        return 1 - len(self.leaked) / self.secret if self.secret else 1.0

    @property
    def shown(self) -> float:
        """The share of the harmless texts that are shown."""
        return 1 - len(self.hidden) / self.harmless if self.harmless else 1.0

    @property
    def precision(self) -> float:
        """The share of the hidden texts that are secret."""
        right = self.secret - len(self.leaked)
        return right / (right + len(self.hidden)) if right + len(self.hidden) else 1.0


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each line."""
    for line in path.read_text().splitlines():
        if line:
            kind, text = json.loads(line)
            yield kind, text


def scores(path: Path) -> dict[str, Score]:
    """``name``, ``text`` and ``source`` of one file."""
    found: dict[str, Score] = {}
    for kind, line in lines(path):
        verdict, _, what = kind.partition("-")
        score = found.setdefault(what, Score())
        if verdict in ("secret", "doubtful"):
            score.secret += 1
            if leaks(what, line, set_too=verdict == "secret"):
                score.leaked.append(line)
        if verdict in ("harmless", "doubtful"):
            score.harmless += 1
            if is_touched(what, line):
                score.hidden.append(line)
    return found


def leaks(what: str, line: str, *, set_too: bool = True) -> bool:
    """True when any part of the secret is still shown, in any of the ways out.

    Args:
        what: ``name``, ``text`` or ``source``.
        line: of the corpus.
        set_too: the name is secret also where the application has set it.
    """
    if what == "name":
        found = masked({"app_form": {line: SECRET_VALUE}})
        is_set = masked({f"app_{line}": SECRET_VALUE}) if set_too else {}
        return SECRET_VALUE in f"{found}{is_set}"
    for seed in range(FILLINGS):
        filled, cores = fill(line, random.Random(seed))
        for shown in _shown(what, filled):
            if any(core in shown for core in cores):
                return True
    return False


def is_touched(what: str, line: str) -> bool:
    """True when a harmless text is changed."""
    if what == "name":
        shown = masked({f"app_{line}": "val"})[f"app_{line}"] == "val"
        counted = masked({f"app_{line}": 7})[f"app_{line}"] == 7
        return not (shown and counted)
    filled, _ = fill(line, random.Random(0))
    return any(shown != filled for shown in _shown(what, filled))


def _shown(what: str, filled: str) -> list[str]:
    """The text as each way out shows it."""
    if what == "source":
        return [source(filled)]
    as_error = [message(filled), masked({"app_note": filled})["app_note"]]
    return as_error if what == "message" else [text(filled), *as_error]


def fill(line: str, chance: random.Random) -> tuple[str, list[str]]:
    """The line with filled placeholders, and its parts that must not be shown."""
    drawn: list[str] = []

    def draw(found: re.Match[str]) -> str:
        characters, length = _CHARACTERS[found[1]], int(found[2] or 0)
        made = "".join(chance.choice(characters) for _ in range(length if characters else 0))
        # With a digit and both cases, as machine-made texts have.
        if found[1] == "R" and length >= 8:
            made = made[: length - 3] + "a7Q"
        drawn.append(made)
        return made

    filled = _PLACEHOLDER.sub(draw, line)
    cores = [each for each in drawn if len(each) >= 8] or _CORE.findall(filled)
    return filled, cores or [filled]
