"""The hit log of the fast site: when it was asked for what, and on which host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hit:
    """One request as the site saw it arrive."""

    at: float
    """Seconds of the system's monotonic clock."""
    host: str
    path: str


class HitLog:
    """A log that a site writes, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def more(self) -> list[Hit]:
        """The hits, oldest first, whose lines were written since this was called last."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        hits = []
        for line in whole.decode().splitlines():
            at, host, path = line.split(" ", 2)
            hits.append(Hit(float(at), host, path))
        return hits
