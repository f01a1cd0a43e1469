"""Sinks: where events and reports go.

``stream`` and ``reports`` write at once. The classes named in ``SINKS`` are run by ``delivery``
on a thread of their own: ``deliver(report)`` for each report, ``close()`` when the worker stops.
"""
