"""Prints recall and precision on each file of the corpus, and what is wrong: ``make redaction``."""

from __future__ import annotations

import sys

from tests.redaction.corpus import HERE, Score, scores

ENOUGH = 0.97


def main() -> int:
    """Prints a table; 1 when less than 97 % of the secrets are hidden, or of the rest shown."""
    columns = f"{'secret':>8}{'harmless':>10}{'recall':>9}{'shown':>9}{'precision':>11}"
    print(f"{'file':<20}{'kind':<8}{columns}")
    worst = 1.0
    for path in sorted(HERE.glob("*.jsonl")):
        for what, score in sorted(scores(path).items()):
            print(
                f"{path.name:<20}{what:<8}{score.secret:>8}{score.harmless:>10}"
                f"{score.recall:>9.1%}{score.shown:>9.1%}{score.precision:>11.1%}"
            )
            _print_wrong(score)
            worst = min(worst, score.recall, score.shown)
    return int(worst < ENOUGH)


def _print_wrong(score: Score) -> None:
    for line in score.leaked:
        print(f"    shown, and secret:    {line!r}")
    for line in score.hidden:
        print(f"    hidden, and harmless: {line!r}")


sys.exit(main())
