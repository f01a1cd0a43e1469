"""Runs one scenario under one sampler and prints the result as JSON.

``python -m bench.run_scenario NAME TOOL SECONDS``
"""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["gevent"]:
    from gevent import monkey

    monkey.patch_all()

import json

from bench import scenarios
from bench.samplers import TOOLS

if __name__ == "__main__":
    name, tool, seconds = sys.argv[1:]
    print(json.dumps(scenarios.run(name, float(seconds), TOOLS[tool])))
