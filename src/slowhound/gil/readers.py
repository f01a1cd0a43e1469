"""The ways to a stack of another process while its GIL is held, in the order they are tried."""

from __future__ import annotations

from slowhound.gil import py_spy, remote_unwinder
from slowhound.gil.reading import Reader

# A worker starts no process to read another one.
IN_A_WORKER: tuple[Reader, ...] = (remote_unwinder.read,)
ELSEWHERE: tuple[Reader, ...] = (remote_unwinder.read, py_spy.read)


def why_none() -> str:
    """Why nothing could be read here, and what to do, in a line."""
    if remote_unwinder.available or py_spy.command() is not None:
        return (
            "the kernel lets this user not read that process (ptrace); slowhound doctor says more"
        )
    return "before Python 3.14 that takes py-spy: pip install 'slowhound[pyspy]'"
