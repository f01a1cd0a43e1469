"""``python -m bench [NAME ...]``: all benchmarks, or the named ones."""

from __future__ import annotations

import importlib
import subprocess
import sys

BENCHMARKS = ("inprocess", "masking", "served", "idle", "accuracy", "sampling", "questions")


def main(names: list[str]) -> int:
    """Runs each benchmark in a process of its own: Django can be configured only once."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"usage: python -m bench [{'] ['.join(BENCHMARKS)}]", file=sys.stderr)
        return 2
    if len(names) == 1:
        importlib.import_module(f"bench.{names[0]}").run()
        return 0
    commands = [[sys.executable, "-m", "bench", name] for name in names or BENCHMARKS]
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
