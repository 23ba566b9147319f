"""The name under which this process appears in the store, in logs and in commands."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Final

PROCESS: Final = secrets.token_hex(8)
"""A random id of this process."""


def worker_name() -> str:
    """``host:pid`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
