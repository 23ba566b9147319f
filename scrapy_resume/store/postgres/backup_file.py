"""The file that holds a job of a database: compressed lines.

The first line is a JSON object that says what it is. Each table follows as a line of JSON with its
name and its columns, its rows as COPY writes them, one line each, and a line ``\\.``. The last
line is a JSON object with the number of rows: a file without it was cut off.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scrapy_resume.errors import SchemaTooNewError, StoreDamagedError

FORMAT: Final = "scrapy-resume backup"
VERSION: Final = 1
END_OF_TABLE: Final = b"\\.\n"
LONGEST_LINE: Final = 1 << 29
"""Bytes of a row, as COPY writes it."""
LONGEST_HEADER: Final = 1 << 20
"""Bytes of a line of JSON."""
MOST_GROWTH: Final = 300
"""How many times as long as the file its contents may be, beyond ``LONGEST_LINE``: gzip itself
manages 1,032 times for a file of nothing but zeros."""
LEVEL: Final = 6
"""gzip's own default: a third of the size at a fraction of the time of 9."""


class BackupWriter:
    """Writes a file, whole or not at all: it is removed unless ``end`` was called."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._path = path
        self._raw = os.fdopen(descriptor, "wb")
        self._file = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=LEVEL, filename="")
        self._rows = 0
        self._ended = False
        self._line({"format": FORMAT, "version": VERSION, **header})

    def __enter__(self) -> BackupWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            self._raw.close()
            self._path.unlink(missing_ok=True)

    def _line(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")

    def table(self, name: str, columns: Sequence[str], chunks: Iterable[bytes]) -> None:
        """A table; ``chunks`` are what COPY gives."""
        self._line({"table": name, "columns": list(columns)})
        for chunk in chunks:
            self._file.write(chunk)
            self._rows += bytes(chunk).count(b"\n")
        self._file.write(END_OF_TABLE)

    def end(self) -> None:
        """Finish the file, and sync it to the disk."""
        self._line({"rows": self._rows})
        self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._ended = True


class BackupReader:
    """Reads a file. Every method raises ``StoreDamagedError`` for one that is not whole."""

    def __init__(self, path: Path, schema: int) -> None:
        """Raises ``SchemaTooNewError`` for one of a newer schema than that."""
        self._path = path
        self._file = gzip.GzipFile(path, "rb")
        self._rows = 0
        self._left = LONGEST_LINE + MOST_GROWTH * path.stat().st_size
        """Bytes that the contents may still have."""
        self.header = self._json()
        numbers = (self.header.get("version"), self.header.get("schema"))
        if self.header.get("format") != FORMAT or not all(type(n) is int for n in numbers):
            raise self._damaged("it is no backup of a job")
        if self.header["version"] > VERSION or self.header["schema"] > schema:
            raise SchemaTooNewError(
                f"{path} was written by a newer version of scrapy-resume: upgrade scrapy-resume"
            )

    def __enter__(self) -> BackupReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _next(self, longest: int = LONGEST_LINE) -> bytes:
        longest = min(longest, self._left)
        try:
            line = self._file.readline(longest)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(str(error)) from error
        self._left -= len(line)
        if not line.endswith(b"\n"):
            why = "it unpacks to more than any backup" if len(line) == longest else ""
            raise self._damaged(why or "its end is missing")
        return line

    def _check_end(self) -> None:
        """Check that only gzip's checksum follows, and that it is right."""
        try:
            more = self._file.read(1)
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(str(error)) from error
        if more:
            raise self._damaged("something follows its end")

    def _json(self) -> dict[str, Any]:
        try:
            value = json.loads(self._next(LONGEST_HEADER))
        except (ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        if not isinstance(value, dict):
            raise self._damaged("it is no backup of a job")
        return value

    def _damaged(self, why: str) -> StoreDamagedError:
        return StoreDamagedError(f"{self._path} cannot be restored: {why}. Nothing was changed")

    def tables(self) -> Iterator[tuple[str, list[str], Iterator[bytes]]]:
        """(name, columns, rows) of each table; the rows have to be read before the next."""
        while True:
            line = self._json()
            if "rows" in line:
                if line["rows"] != self._rows:
                    raise self._damaged(f"it has {self._rows} rows, of {line['rows']}")
                self._check_end()
                return
            name, columns = line.get("table"), line.get("columns")
            if type(name) is not str or type(columns) is not list:
                raise self._damaged("a table has no name")
            yield name, [str(column) for column in columns], self._table()

    def _table(self) -> Iterator[bytes]:
        while (line := self._next()) != END_OF_TABLE:
            self._rows += 1
            yield line
