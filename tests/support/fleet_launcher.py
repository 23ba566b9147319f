"""Starts many crawls by fork, side by side; otherwise as ``tests.support.launcher``.

The program reads one JSON line for each process to start and answers with its pid; it answers
once more, with the exit code, when the process ends. All that still run die with it.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support import launcher
from tests.support.launcher import become_scrapy

MODULES = [*launcher.MODULES, "scrapy.commands.runspider", "psycopg"]
START_SECONDS = 30.0


class FleetProcess:
    """A process that the launcher forked, the leader of a process group of its own."""

    def __init__(self, owner: FleetLauncher, pid: int) -> None:
        self.pid = pid
        self._owner = owner

    @property
    def returncode(self) -> int | None:
        return self._owner.exit_codes.get(self.pid)

    def poll(self) -> int | None:
        self._owner.listen(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises ``subprocess.TimeoutExpired``."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("forked", timeout or 0)
            self._owner.listen(left)
        code = self.returncode
        assert code is not None
        return code


class FleetLauncher(launcher.Program):
    """Any number of forked processes at a time."""

    module = __name__

    def __init__(self) -> None:
        super().__init__()
        self.exit_codes: dict[int, int] = {}
        """pid → exit code, of those that have ended and whose pid was not used again."""
        self._started: list[int] = []
        self._unread = b""

    def start(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> FleetProcess:
        """Starts ``scrapy`` with these words; output goes to the log."""
        self.order(words, folder, environment, log)
        deadline = time.monotonic() + START_SECONDS
        while not self._started:
            assert time.monotonic() < deadline, "the launcher did not answer"
            self.listen(1)
        return FleetProcess(self, self._started.pop(0))

    def listen(self, timeout: float | None) -> None:
        """Takes in what the program has answered; waits that long for an answer."""
        stdout = self._program.stdout
        assert stdout is not None
        while select.select([stdout], [], [], timeout)[0]:
            chunk = os.read(stdout.fileno(), 65536)
            assert chunk, "the launcher ended"
            *lines, self._unread = (self._unread + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            timeout = 0

    def _take(self, answer: dict[str, int]) -> None:
        if "exit_code" in answer:
            self.exit_codes[answer["pid"]] = answer["exit_code"]
        else:
            self.exit_codes.pop(answer["pid"], None)
            self._started.append(answer["pid"])


class Program:
    """The launcher's own process."""

    def __init__(self) -> None:
        self.children: set[int] = set()
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(self.wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until standard input is closed."""
        own_pid = os.getpid()
        try:
            unread = b""
            while True:
                ready, _, _ = select.select([0, self.woken], [], [])
                if self.woken in ready:
                    os.read(self.woken, 4096)
                self.reap()
                if 0 not in ready:
                    continue
                chunk = os.read(0, 65536)
                if not chunk:
                    return
                *lines, unread = (unread + chunk).split(b"\n")
                for line in lines:
                    self.start(json.loads(line))
        finally:
            if os.getpid() == own_pid:  # a forked process comes by here when it ends
                self.end_all()

    def start(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self.woken)
            os.close(self.wake)
            become_scrapy(order)
        os.setpgid(pid, pid)
        self.children.add(pid)
        say({"pid": pid})

    def reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self.children.discard(pid)
            say({"pid": pid, "exit_code": os.waitstatus_to_exitcode(status)})

    def end_all(self) -> None:
        for pid in self.children:
            os.killpg(pid, signal.SIGKILL)
        for pid in self.children:
            os.waitpid(pid, 0)


def say(answer: dict[str, int]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def main() -> None:
    launcher.import_all()
    for module in MODULES:
        if find_spec(module.partition(".")[0]):
            importlib.import_module(module)
    assert "twisted.internet.reactor" not in sys.modules, "a reactor was installed too early"
    Program().serve()


if __name__ == "__main__":
    main()
