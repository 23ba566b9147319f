"""A file that a command writes for its user: whole or not at all, and over nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def new_file(target: str, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file that has its name only when it is whole; a link is followed.

    Raises ``FileExistsError`` if there is something already that is not to be replaced.
    """
    path = Path(os.path.realpath(target))
    _refuse_to_spoil(path, target, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _refuse_to_spoil(path, target, overwrite)
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _refuse_to_spoil(path: Path, target: str, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise FileExistsError(f"{target} is not an ordinary file; -o -:FORMAT writes to a pipe")
    if not overwrite:
        raise FileExistsError(f"{target} exists; --overwrite replaces it")
