"""The identity of processes: whether one that has recorded its name still exists.

On Linux a process is identified by the boot of the machine, its pid namespace, its pid and the time
at which it was started: no other process ever has the same four. On other systems this is unknown,
and only missing heartbeats show a death.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Final, NamedTuple

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")
_ENDED: Final = "ZX"
"""States of a process that has ended and was not waited for (proc(5))."""

_numbers = itertools.count(1)
_present: Final[set[str]] = set()


class _Name(NamedTuple):
    machine: str
    pid: str
    born: str
    number: str
    """Distinguishes the jobs that one process has open."""


class Presence:
    """The name of this process, recorded with a run from the opening of a job to its end."""

    def __init__(self) -> None:
        self.name = "/".join((*_here(), str(next(_numbers))))
        """Parts that are unknown are empty."""
        _present.add(self.name)

    def end(self) -> None:
        """The process lives on, the job is given up."""
        _present.discard(self.name)


def is_gone(name: str) -> bool:
    """Whether the process of that name has certainly ended; false if it is unknown."""
    if name in _present or name.count("/") != 3:
        return False
    machine, pid, born, _ = _Name(*name.split("/"))
    here = _here()
    if not born or machine != here[0]:
        return False
    return (pid, born) == here[1:] or _started(pid) != born


def _here() -> tuple[str, str, str]:
    """(machine, pid, time of start) of this process."""
    pid = str(os.getpid())
    try:
        machine = f"{_BOOT.read_text().strip()} {os.readlink(_PID_NAMESPACE)}"
    except OSError:
        return "", pid, ""
    return machine, pid, _started(pid)


def _started(pid: str) -> str:
    """Clock ticks between the boot and the start of the process; empty if there is none.

    The 22nd field of ``/proc/<pid>/stat`` (proc(5)); the second, the name, may hold anything.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in _ENDED else fields[19]
