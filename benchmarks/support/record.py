"""Rounds of contests in a file, so that one that was stopped goes on where it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path

import msgspec
import scrapy

from benchmarks.support.site import REPO
from benchmarks.support.suites import Configuration

CODE = ("scrapy_resume", "benchmarks/support")


@dataclass(frozen=True)
class Result:
    """One crawl."""

    cpu_seconds: float
    peak_bytes: int
    wall_seconds: float
    kept_bytes: float


@dataclass(frozen=True)
class Round:
    """One crawl of each contestant, by name, and where and with what they were made."""

    configuration: Configuration
    machine: str
    code: str
    """A digest of the program that was measured."""
    date: str
    results: Mapping[str, Result]


def machine() -> str:
    """This machine, for whoever reads the figures."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"Scrapy {scrapy.__version__}"
    )


def code_digest(root: Path = REPO) -> str:
    """The same for the same sources of the package and of what the benchmarks stand on."""
    digest = sha256()
    for folder in CODE:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".py", ".sql"):
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


class Record:
    """The rounds of a contest; without a path they are kept in memory alone.

    Raises ``SystemExit`` if the file holds something else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._machine = machine()
        self._code = code_digest()
        self._rounds: list[Round] = []
        if path is not None and path.exists():
            lines = path.read_bytes().splitlines()
            self._rounds = [_decoded(path, number, line) for number, line in enumerate(lines, 1)]

    def rounds(self, configuration: Configuration, contestants: Collection[str]) -> list[Round]:
        """Those of all these contestants by this program, here: others cannot be compared."""
        return [
            found
            for found in self._rounds
            if (found.configuration, found.machine, found.code)
            == (configuration, self._machine, self._code)
            and found.results.keys() >= set(contestants)
        ]

    def add(self, configuration: Configuration, results: Mapping[str, Result]) -> None:
        """Keeps a round that was made now."""
        today = date.today().isoformat()
        made = Round(configuration, self._machine, self._code, today, results)
        self._rounds.append(made)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(made) + b"\n")


def _decoded(path: Path, number: int, line: bytes) -> Round:
    try:
        return msgspec.json.decode(line, type=Round)
    except msgspec.DecodeError as error:
        raise SystemExit(
            f"{path}, line {number}, is no round of a contest ({error}): remove the line, or have "
            "--record name another file"
        ) from error
