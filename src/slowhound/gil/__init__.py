"""While C code holds the GIL: what other processes, and the clocks, still say of a worker.

No Python thread of the worker runs then, the hound included, and nothing is done to the thread
that holds it: to have it write its own stack, by a signal, has crashed CPython 3.11 to 3.13.
``unresponsive`` looks from another process, ``remote_unwinder`` and ``py_spy`` read stacks from
there, ``holders`` estimates from inside, afterwards, who it was.
"""
