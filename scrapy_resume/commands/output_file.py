"""A file that a command writes for its user: complete or not at all, and never over another file
unless ``--overwrite`` says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation

from scrapy_resume.disk import make_directories, sync_directory


@contextmanager
def output_file(call: Invocation, target: str) -> Iterator[IO[bytes]]:
    """A file to write to, which gets the name ``target`` when the context ends without an error.

    A symbolic link is followed, missing directories are created. What commands that were killed
    have left in the directory is removed. Raises ``FileExistsError``.
    """
    with output_path(call, target) as unfinished, unfinished.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def output_path(call: Invocation, target: str) -> Iterator[Path]:
    """As ``output_file``, for what writes a file by itself: the path of a file to create."""
    from scrapy_resume.privatefiles import private_directory, remove_abandoned_directories
    from scrapy_resume.settings.parse_location import check_file_name

    check_file_name(target)
    path = Path(os.path.realpath(target))
    overwrite = call.arguments.overwrite
    _refuse_existing(path, target, overwrite)
    make_directories(path.parent)
    for abandoned in remove_abandoned_directories(path.parent):
        call.note(f"{abandoned} was left by a command that was killed; it is removed")
    with private_directory(path.parent) as directory:
        unfinished = directory / path.name
        yield unfinished
        _refuse_existing(path, target, overwrite)
        unfinished.replace(path)
        sync_directory(path.parent)


def _refuse_existing(path: Path, target: str, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise FileExistsError(f"{target} is not an ordinary file")
    if not overwrite:
        raise FileExistsError(f"{target} exists; --overwrite replaces it")
