"""Holds the state of an open statement or bracket in source: its names, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass

from slowhound.redaction.source import tokens
from slowhound.redaction.source.names import (
    GETTERS,
    VALUES,
    Level,
    has_secret_key,
    is_owned_by_secret,
    is_plain_field,
    level_of,
    level_of_path,
    takes_secret_at,
)


@dataclass(slots=True)
class Open:
    """An open statement or bracket, and what is known of it so far."""

    kind: str  # "statement", "call", "index", "group", "list" or "dict"
    name: str = ""  # what is called or indexed
    whole: Level = Level.NONE  # of each argument without a level of its own
    level: Level = Level.NONE  # of this argument, from here on
    seen: Level = Level.NONE  # of the names in it
    pair: Level = Level.NONE  # of the next argument
    before_if: Level = Level.NONE
    key: str = ""  # the keyword or the key of this argument
    at: int = 0  # arguments before this one
    names_secret: bool = False  # an argument is the name of a secret
    in_for: bool = False

    def mention(self, level: Level) -> None:
        self.level = max(self.level, level)
        if not self.key:
            self.seen = max(self.seen, level)

    def mentioned(self, path: str, is_attribute: bool, is_called: bool) -> None:
        level = level_of_path(path)
        if is_called and is_owned_by_secret(path):
            level = Level.NAMED  # password.strip() == "x"
        is_other = level is Level.NONE and path not in VALUES
        if is_attribute and is_other and not is_called and self.level < Level.WHOLE:
            self.level = self.whole  # make(token).user
            self.seen = Level.NONE if self.at == 0 else self.seen
        else:
            self.mention(level)

    def word(self, word: str, line: str, end: int) -> None:
        if word == "for":
            self.in_for, self.seen = True, Level.NONE
        elif word == "in" and self.in_for:
            self.in_for, self.level = False, max(self.level, self.seen)
        elif word == "if":
            self.before_if, self.level = self.level, max(self.whole, _only_whole(self.level))
        elif word == "else":
            self.level = self.before_if
        elif word in ("and", "or") and tokens.IS_LITERAL.match(line, end) is None:
            self.level = max(self.whole, _only_whole(self.level))

    def under(self, key: str) -> None:
        """The value of a keyword argument, or of a key in a dict, follows."""
        level, is_value = level_of(key), key.lower() in VALUES
        is_of_cipher = key == "key" and self.kind == "call" and has_secret_key(self.name)
        if level is Level.NAMED or is_of_cipher or (is_value and self.names_secret):
            level = Level.WHOLE
        elif self.whole is Level.WHOLE or is_value or key == "key" or level is Level.DOUBT:
            level = max(level, self.whole)
        self.key, self.level = key, level

    def next_argument(self) -> None:
        keeps = self.in_for or (self.kind == "call" and self.compares)
        if not keeps:
            self.level = max(self.whole, self.pair)
        self.pair, self.key, self.at = Level.NONE, "", self.at + 1

    def close_into(self, outer: Open) -> None:
        """Takes over what this bracket means for what follows: ``form["password"] == "x"``."""
        if self.kind in ("call", "group") and self.seen > Level.DOUBT and outer.key == "":
            outer.mention(Level.NAMED)
        if self.kind != "index" or not self.key:
            return
        outer.mention(level_of(self.key))
        # token["type"] is not secret, passwords["bob"] is; Literal["x"] belongs to no token.
        together = f"{self.name.rpartition('.')[2]}_{self.key}"
        is_other = (
            level_of_path(self.name) is not Level.NONE
            and level_of(self.key) is Level.NONE
            and level_of(together) < Level.NAMED
        )
        if is_other and outer.level < Level.WHOLE:
            outer.level = outer.seen = outer.whole

    @property
    def takes_name(self) -> bool:
        """True where a getter's argument is the name of what it gets."""
        is_call = self.kind == "call" and not self.key
        return is_call and GETTERS.get(self.name.rpartition(".")[2]) == self.at

    @property
    def takes_secret(self) -> bool:
        """True where a call takes a secret at this position."""
        is_default = self.names_secret and self.at == 0 and is_plain_field(self.name)
        is_call = self.kind == "call" and not self.key
        return is_call and (is_default or takes_secret_at(self.name, self.at))

    @property
    def compares(self) -> bool:
        """True for a call that compares its arguments: if one is secret, the others are."""
        last = self.name.rpartition(".")[2]
        return last.startswith(("assert", "compare_digest", "constant_time"))


def _only_whole(level: Level) -> Level:
    return level if level is Level.WHOLE else Level.NONE
