"""The identity of processes: whether one that has recorded its name has certainly ended.

A process that cannot be seen may be alive: in another container, of another user where ``/proc``
hides those (``hidepid``), on another machine. So only a proof counts: the name was recorded on this
machine, since it was booted, in this PID namespace, and the kernel knows no process of that pid
(``kill(2)``: ESRCH; EPERM means that it is there), or shows one that has ended or was started at
another time. Without a proof only missing heartbeats show a death.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_SYSCTL: Final = "/usr/sbin/sysctl"
_ENDED: Final = "ZX"
"""States of a process that has ended and was not waited for (proc(5))."""

_numbers = itertools.count(1)
_present: Final[set[str]] = set()


class _Name(NamedTuple):
    """Parts that are unknown are empty."""

    machine: str
    """The boot of the machine and what bounds the sight of a process, see ``_machine``."""
    pid: str
    born: str
    """Clock ticks from the boot to the start of the process."""
    number: str = ""
    """Distinguishes the jobs that one process has open."""


class Presence:
    """The name of this process, recorded with a run from the opening of a job to its end."""

    def __init__(self) -> None:
        self.name = "/".join(_here()._replace(number=str(next(_numbers))))
        _present.add(self.name)

    def end(self) -> None:
        """The process lives on, the job is given up."""
        _present.discard(self.name)


def is_gone(name: str) -> bool:
    """Whether the process of that name has certainly ended, or has given the job up; false if that
    is not known."""
    if name in _present or name.count("/") != 3:
        return False
    then, here = _Name(*name.split("/")), _here()
    if not then.machine or then.machine != here.machine or not then.pid.isdecimal():
        return False
    if then.pid == here.pid:
        return True
    return not _exists(int(then.pid)) or _has_ended(then)


def _exists(pid: int) -> bool:
    """Whether there is a process of that pid in this namespace, which may be another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _has_ended(name: _Name) -> bool:
    """Whether the process of that pid has ended, or is another one than that of the name."""
    state, born = _shown(name.pid)
    if not state or state in _ENDED:
        return bool(state)
    return bool(name.born) and born != name.born


def _here() -> _Name:
    """The name of this process."""
    pid = str(os.getpid())
    return _Name(_machine(), pid, _shown(pid)[1])


def _machine() -> str:
    """The boot of this machine, and the namespaces of this process; empty if they are unknown.

    Processes of one PID namespace see one another by the same pids. The time namespace belongs to
    it, since times of start are shown as of the namespace of the one who asks.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespaces = [os.readlink(_PROC / "self/ns/pid")]
        if (_PROC / "self/ns/time").is_symlink():
            namespaces.append(os.readlink(_PROC / "self/ns/time"))
    except OSError:
        return _boot_session() if sys.platform == "darwin" else ""
    return " ".join((boot, *namespaces))


@cache
def _boot_session() -> str:
    """The boot of a machine with macOS, which has neither ``/proc`` nor PID namespaces."""
    words = [_SYSCTL, "-n", "kern.bootsessionuuid"]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()


def _shown(pid: str) -> tuple[str, str]:
    """(state, clock ticks from the boot to the start) of a process, both empty if ``/proc`` does
    not show it, or shows another PID namespace.

    The 3rd and the 22nd field of ``/proc/<pid>/stat`` (proc(5)); the second, the name, may hold
    anything.
    """
    try:
        if os.readlink(_PROC / "self") != str(os.getpid()):
            return "", ""
        fields = (_PROC / pid / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
