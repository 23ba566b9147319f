"""Records what processes change below a folder, by a library of C that they load first.

``recorder.c`` is compiled once for each session, by the compiler of PyPI's ``ziglang`` (extra
``test``), or by ``cc``: it is the same code. A test that has neither ends with ``not_started``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.skips import not_started, other_platform

SOURCE = Path(__file__).with_name("recorder.c")
OPTIONS = ("-shared", "-fPIC", "-O1", "-nostdlib", "-Werror=return-type")
"""``-nostdlib``: the process that loads it has the C library, and ziglang need not build one."""

NOT_RECORDED = "-shm"
"""Names that end so: as in ``recorder.c``."""

_HEAD = struct.Struct("=4I4Q")


@dataclass(frozen=True)
class Event:
    """Something that succeeded.

    ``kind``: ``c`` a file was created, ``w`` bytes were written, ``t`` a file got a size, ``s``
    a file was synced, ``S`` a directory was, ``r`` renamed to ``other``, ``l`` linked as
    ``other``, ``u`` unlinked, ``m`` a directory was made, ``d`` removed, ``M`` a file is mapped
    into memory. ``name`` is relative to the folder, and empty for some writes.
    """

    kind: str
    inode: int
    name: str = ""
    other: str = ""
    offset: int = 0
    """Of the first byte that was written; the size that a file got."""
    content: bytes = b""
    pid: int = 0
    at: float = 0.0
    """Seconds of the system's monotonic clock."""


Snapshot = dict[str, "tuple[int, bytes] | None"]
"""A tree: inode and content of each file by its relative name; ``None`` for a directory."""


def snapshot(folder: Path) -> Snapshot:
    """What is below a folder, but for what is not recorded."""
    found: Snapshot = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(NOT_RECORDED):
            continue
        assert not path.is_symlink(), f"{path} is a symbolic link, which is not recorded"
        name = path.relative_to(folder).as_posix()
        found[name] = None if path.is_dir() else (path.stat().st_ino, path.read_bytes())
    return found


def compiled(folder: Path) -> Path:
    """The library, built in a folder. Ends the test if there is no compiler."""
    if sys.platform != "linux":
        pytest.skip(other_platform("the recorder is loaded with LD_PRELOAD of Linux"))
    library = folder / "recorder.so"
    if find_spec("ziglang"):
        compiler = [sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=all"]
    elif shutil.which("cc"):
        compiler = ["cc"]
    else:
        not_started("the recorder of writes", "there is neither ziglang nor cc to compile it")
    command = [*compiler, *OPTIONS, "-o", str(library), str(SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    return library


@dataclass
class Recorder:
    """The record of one folder. ``before``: what was there, and on the disk, when it began."""

    record: Path
    folder: Path
    before: Snapshot = field(default_factory=dict)

    @classmethod
    def begin(cls, record: Path, folder: Path) -> Recorder:
        """Start a new record."""
        folder = folder.resolve()
        record.write_bytes(b"")
        return cls(record, folder, snapshot(folder))

    def variables(self) -> Mapping[str, str]:
        """What a process that has loaded the library needs in its environment."""
        return {"POWER_RECORD": str(self.record), "POWER_BELOW": str(self.folder)}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nobody changes anything meanwhile: who is killed here has recorded what it did."""
        with self.record.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def count(self) -> int:
        """How many events there are so far."""
        return sum(1 for _ in self.events())

    def events(self) -> Iterator[Event]:
        """The events so far. Fails if something happened that the library cannot record."""
        content = self.record.read_bytes()
        at = 0
        while at < len(content):
            kind, pid, names, others, inode, offset, count, moment = _HEAD.unpack_from(content, at)
            at += _HEAD.size
            name = content[at : at + names].decode()
            other = content[at + names : at + names + others].decode()
            at += names + others
            event = Event(
                chr(kind), inode, name, other, offset, content[at : at + count], pid, moment / 1e9
            )
            assert event.kind != "?", f"the recorder does not know what to make of {event}"
            at += count
            yield event


def preloaded(library: Path) -> Mapping[str, str]:
    """What the environment of a process needs, to load the library."""
    assert "LD_PRELOAD" not in os.environ, "another library is preloaded already"
    return {"LD_PRELOAD": str(library)}
