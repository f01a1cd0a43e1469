"""Sinks: where events and reports go, one file per destination.

``stream`` writes each line at once. The classes named in ``SINKS`` get reports, and events if they
want them, from a thread of ``slowhound.delivery``.
"""
