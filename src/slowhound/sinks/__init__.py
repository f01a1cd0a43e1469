"""Sinks: where events and reports go.

``stream`` and ``reports`` write at once. The classes named in ``SINKS`` are run by ``delivery`` on
a thread of their own, through ``inbox`` (what waits for the thread), ``hygiene`` (which of it is
sent), ``spool`` (on disk until it is), ``outbox`` and ``outlet`` (to each sink in turn).
"""
