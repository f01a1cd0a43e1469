"""What the test that started this process wants, from the environment's SLOWHOUND_TEST."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

OPTIONS: dict[str, Any] = json.loads(os.environ.get("SLOWHOUND_TEST", "{}"))
SCRATCH = Path(OPTIONS.get("scratch", "."))
HERE = Path(__file__).parent
