"""How a job is named in a path: ``books~3`` for ``books#3``.

Letters, digits, ``_``, ``-`` and dots stay as they are, every other byte is written as ``=2F``: so
an id has no character that a server, a proxy or a file system could take for anything else.
"""

from __future__ import annotations

import re
from typing import Final

from scrapy_resume.model import JobKey

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_ID: Final = re.compile(r"((?:[A-Za-z0-9_.-]|=[0-9A-F]{2})*)~([0-9]{1,9})")


def job_id(key: JobKey) -> str:
    """The id of a job, of any name."""
    name = key.name.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _PLAIN else f"={byte:02X}" for byte in name) + (
        f"~{key.number}"
    )


def job_key(text: str) -> JobKey | None:
    """The job of an id; ``None``: it is no id, or not as ``job_id`` writes it."""
    found = _ID.fullmatch(text)
    if found is None:
        return None
    name = re.sub(rb"=([0-9A-F]{2})", lambda hit: bytes([int(hit[1], 16)]), found[1].encode())
    try:
        key = JobKey(name.decode("utf-8", "surrogatepass"), int(found[2]))
    except UnicodeDecodeError:
        return None
    return key if job_id(key) == text else None
