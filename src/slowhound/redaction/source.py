"""Lines of source code, as they may leave: the literals behind secret names are masked."""

from __future__ import annotations

from slowhound.redaction.literals import NAMED, VALUE, masked_value
from slowhound.redaction.names import is_secret
from slowhound.redaction.values import mask_values


def source(line: str) -> str:
    """A line of source code with the secret values that are written in it masked.

    ``password = form.password`` says nothing; only what stands in quotes does.
    """
    if '"' not in line and "'" not in line:
        return line
    parts, position, kept = [], 0, 0
    while (found := NAMED.search(line, position)) is not None:
        position = found.end()
        secret = VALUE.match(line, position)
        if secret is not None and secret["quoted"] and is_secret(found["name"]):
            parts += [line[kept:position], masked_value(secret)]
            position = kept = secret.end()
    return mask_values("".join([*parts, line[kept:]]))
