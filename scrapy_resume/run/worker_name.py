"""The name under which this process appears in the store, in logs and in commands."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Final

_TOKEN: Final = secrets.token_hex(8)
"""Of this process and of those that it forks."""


def worker_name() -> str:
    """``host:pid`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def process_id() -> str:
    """A random id of this process."""
    return f"{_TOKEN}-{os.getpid()}"
