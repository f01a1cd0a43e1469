"""Defines the format of a black box: where each number and each payload stands in the file.

Version 6, in native byte order, because a box never leaves its machine:

* The header is 20 aligned cells of 8 bytes, so that one store is one number and a reader never sees
  half of it. What each holds stands beside its constant.
* One area of JSON holds how the process writes its events, see ``payloads.Settings``.
* The slots, one per request in flight: five cells and four areas (who it is, its view, the SQL of
  its last query, its last stack).

An area is two halves, written in turn, each with a sequence number, its length, a CRC, and the
number of the request that it is about. A process that dies in the middle of a write leaves the
other half whole. ``reader`` reads all this.
"""

from __future__ import annotations

import struct

MAGIC = int.from_bytes(b"SLWHND\0\x06", "little")
CELL = struct.Struct("=q")

# The cells of the header. Cell 0 holds MAGIC, with the version; times are in nanoseconds
# of the monotonic clock unless noted otherwise.
CELLS = 20
HEADER = CELLS * 8  # bytes
PID = 1
PARENT = 2  # pid of the parent
STARTED = 3  # nanoseconds since 1970
HEARTBEAT = 4
IN_FLIGHT = 5  # requests
SERVED = 6  # requests
DROPPED = 7  # lines, events and reports that could not be written
RSS = 8  # resident memory, bytes
SLOTS = 9  # how many there are
OVERFLOW = 10  # requests that found no free slot
DUMP_REQUESTED = 11  # number of the last dump that another process has requested
DUMP_MADE = 12  # number of the last one that was made
STALL_REPORTED = 13  # the heartbeat after which a peer has reported a held GIL
HOUND = 14  # the system's id of the hound's thread
NAMESPACE = 15  # of the pid
BORN = 16  # when the process began, in ticks of the kernel
OPEN = 17  # websockets, of the requests in flight
SENT = 18  # ``seq`` of the last event that all sinks of the process have
PARENT_BORN = 19  # of the parent, if it reaps this process; 0: no such parent is known
# In SENT: no sink of the process wants events.
NO_SINKS = 2**62

# Before each half of an area: sequence number, length, CRC, number of the request (32 bits).
HEAD = struct.Struct("=IIII")
HALF_SETTINGS = 1024
HALF_WHO, HALF_VIEW, HALF_SQL, HALF_STACK = 512, 144, 512, 1008

MOST_SLOTS = 1024
# The cells of a slot.
SLOT_CELLS = struct.Struct("=qqqqq")
NUMBER = 0  # of the request; 0: the slot is free
QUERY_BEGAN = 1  # when its running query began; 0: none runs
THREAD = 2  # the system's id of its thread
REPORTED = 3  # NUMBER again, once the request is reported as slow
IDENT = 4  # Python's ident of its thread
AT_WHO = SLOT_CELLS.size
AT_VIEW = AT_WHO + 2 * HALF_WHO
AT_SQL = AT_VIEW + 2 * HALF_VIEW
AT_STACK = AT_SQL + 2 * HALF_SQL
SLOT = AT_STACK + 2 * HALF_STACK  # bytes
FIRST_SLOT = HEADER + 2 * HALF_SETTINGS
# No box is larger: 1,024 slots are 5 MiB.
LARGEST_BOX = 64 * 1024**2
