"""What other processes, and the clocks, still know of a worker while C code holds its GIL.

No Python thread of the worker runs then, the hound included, and nothing is done to the thread that
holds the GIL: having it write its own stack, by a signal, has crashed CPython 3.11 to 3.13.
``unresponsive`` checks from another process, ``remote_unwinder`` and ``py_spy`` read stacks from
there, ``holders`` estimates from inside, afterwards, which thread it was.
"""
