"""Starts ``programs.py``, ends it at a moment that its progress decides, and reads what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs.py"

TIMEOUT_SECONDS = 120.0


class Program:
    """A process of ``programs.py``."""

    def __init__(
        self, store: Path | str, mode: str, count: int, cwd: Path | None = None, **options: object
    ) -> None:
        words = [f"{name}={value}" for name, value in options.items()]
        self.begun: list[str] = []
        """Keys of the tasks that it has begun, as far as its output was read."""
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(store), mode, str(count), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.lines: list[str] = []
        self.errors = ""
        self.told: list[str] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self, count: int) -> None:
        """Read until it has begun so many tasks, or has ended."""
        assert self._process.stdout is not None
        while len(self.begun) < count and (line := self._process.stdout.readline()):
            self._take(line)

    def _take(self, line: str) -> None:
        text = line.strip()
        (self.begun if text.isdecimal() else self.lines).append(text)

    def expect(self, words: str) -> None:
        """Read its standard error until a line has these words."""
        assert self._process.stderr is not None
        while line := self._process.stderr.readline():
            self.told.append(line)
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}: {self.told}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code."""
        process = self._process
        assert process.stdout is not None
        assert process.stderr is not None
        watchdog = threading.Timer(TIMEOUT_SECONDS, process.kill)
        watchdog.start()
        with process.stdout, process.stderr:
            for line in process.stdout:
                self._take(line)
            self.errors = process.stderr.read()
        code = process.wait()
        watchdog.cancel()
        return code

    def kill(self) -> None:
        self._process.kill()
        self.wait()


def run_to_end(store: Path | str, mode: str, count: int, **options: object) -> Program:
    program = Program(store, mode, count, **options)
    assert program.wait() == 0, program.errors
    return program


def numbers(feed: Path) -> Counter[int]:
    """How often each number is in a feed of JSON Lines."""
    return Counter(json.loads(line)["number"] for line in feed.read_text().splitlines())
