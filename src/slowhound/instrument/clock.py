"""Attributes each moment of a request to one thing only.

A template that runs queries, or a cache kept in the database, would count the same second twice.
``own_time`` takes out what was already attributed to something inside, so that the parts of a
request and ``rest_time`` add up to ``resp_time`` (unless the request used several threads).
"""

from __future__ import annotations

from slowhound.core.record import Record


def own_time(record: Record, took: float, accounted_before: float) -> float:
    """``took`` less the time accounted for since ``accounted_before``; accounts for the rest."""
    own = took - (record.accounted - accounted_before)
    record.accounted = accounted_before + took
    return max(0.0, own)
