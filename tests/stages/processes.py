"""Starts ``programs.py``, ends it at a moment that its progress decides, and reads what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
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
        self.ended: dict[str, float] = {}
        """With ``trace=1``: the keys of those that have ended well, and when."""
        self.in_hand: set[str] = set()
        """With ``trace=1``: the keys of those that have begun and have not ended."""
        self.committed_at = 0.0
        """With ``trace=1``: when the last batch was sent of which it knows that it is committed."""
        self.killed_at: float | None = None
        """The monotonic time at which it was killed."""
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
        if text.isdecimal():
            self.begun.append(text)
            self.in_hand.add(text)
            return
        word, _, rest = text.partition(" ")
        if word == "ended":
            key, _, at = rest.partition(" ")
            self.in_hand.discard(key)
            self.ended[key] = float(at)
        elif word == "committed":
            self.committed_at = float(rest)
        elif word == "failed":
            self.in_hand.discard(rest)
        else:
            self.lines.append(text)

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
        self.killed_at = time.monotonic()
        self.wait()


def run_to_end(store: Path | str, mode: str, count: int, **options: object) -> Program:
    program = Program(store, mode, count, **options)
    assert program.wait() == 0, program.errors
    return program


def numbers(feed: Path) -> Counter[int]:
    """How often each number is in a feed of JSON Lines."""
    return Counter(json.loads(line)["number"] for line in feed.read_text().splitlines())
