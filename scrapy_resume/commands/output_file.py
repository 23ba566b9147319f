"""A file that a command writes for its user: complete or not at all, and never over another file
unless ``--overwrite`` says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def output_file(target: str, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file to write to, which gets the name ``target`` when the context ends without an error.

    A symbolic link is followed, missing directories are created. Raises ``FileExistsError``.
    """
    with output_path(target, overwrite) as unfinished, unfinished.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def output_path(target: str, overwrite: bool) -> Iterator[Path]:
    """As ``output_file``, for what writes a file by itself: the path of a file to create."""
    from scrapy_resume.settings.location import check_file_name

    check_file_name(target)
    path = Path(os.path.realpath(target))
    _refuse_existing(path, target, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield unfinished
        _refuse_existing(path, target, overwrite)
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _refuse_existing(path: Path, target: str, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise FileExistsError(f"{target} is not an ordinary file")
    if not overwrite:
        raise FileExistsError(f"{target} exists; --overwrite replaces it")
