"""Several secrets of one text are replaced by masks."""

from __future__ import annotations

from slowhound.redaction.mask import MASK, masked


def test_each_span_is_masked_and_the_rest_stays() -> None:
    """The order in which they were found does not matter."""
    assert masked("ab12cd34ef", [(6, 8), (2, 4)]) == f"ab{MASK}cd{MASK}ef"
    assert masked("nothing", []) == "nothing"


def test_spans_that_overlap_have_one_mask() -> None:
    """Two searches may each have found a part of the same secret."""
    assert masked("ab1234ef", [(2, 5), (3, 6)]) == f"ab{MASK}ef"
    assert masked("ab1234ef", [(2, 6), (3, 4)]) == f"ab{MASK}ef"
