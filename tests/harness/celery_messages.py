"""Has Celery's messages in files appear only when they are complete.

kombu opens the file of a message before it locks and writes it. A worker that takes the file in
between finds it empty, and ends ("Unrecoverable error: JSONDecodeError").
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from kombu.transport.filesystem import Channel
from kombu.utils.json import dumps


def put(channel: Channel, queue: str, payload: Any, **_: Any) -> None:
    """Writes as kombu does, but under a name that no worker reads, until the file is complete."""
    number = uuid.uuid4()
    draft = os.path.join(channel.data_folder_out, f"{number}.draft")
    with open(draft, "w") as file:
        file.write(dumps(payload))
    name = f"{round(time.monotonic() * 1000)}_{number}.{queue}.msg"
    os.rename(draft, os.path.join(channel.data_folder_out, name))


def install() -> None:
    """Called in each process that sends."""
    Channel._put = put
