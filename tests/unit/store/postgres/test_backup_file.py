"""A backup of a database's job that somebody else has made unpacks to nothing enormous."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.store.postgres import backup_file
from scrapy_resume.store.postgres.backup_file import FORMAT, BackupReader, BackupWriter

HEADER = {"format": FORMAT, "version": 1, "schema": 1}


def packed(path: Path, *lines: bytes) -> Path:
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    return path


def read_all(path: Path) -> int:
    with BackupReader(path, schema=1) as reader:
        return sum(len(row) for _, _, rows in reader.tables() for row in rows)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with BackupWriter(path, {"schema": 1}) as writer:
        writer.table("request", ["id"], [b"1\n2\n"])
        writer.end()
    assert read_all(path) == 4


def test_a_line_that_is_too_long_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = json.dumps({"table": "request", "columns": ["id"]}).encode()
    bomb = packed(tmp_path / "bomb", json.dumps(HEADER).encode(), table, b"0" * 10_000_000)
    assert bomb.stat().st_size < 20_000
    monkeypatch.setattr(backup_file, "LONGEST_LINE", 100_000)
    with pytest.raises(StoreDamagedError, match="unpacks to more"):
        read_all(bomb)


def test_many_lines_that_unpack_to_too_much_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_file, "LONGEST_LINE", 100_000)
    table = json.dumps({"table": "request", "columns": ["id"]}).encode()
    rows = [b"0" * 50_000] * 400
    bomb = packed(tmp_path / "bomb", json.dumps(HEADER).encode(), table, *rows)
    with pytest.raises(StoreDamagedError, match="unpacks to more"):
        read_all(bomb)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"format":"scrapy-resume backup"}',
        b'{"format":"scrapy-resume backup","version":"1","schema":[]}',
        b'{"a":"' + b"0" * 2_000_000 + b'"}',
    ],
    ids=["nested", "no version", "other types", "long"],
)
def test_a_header_of_another_form_is_an_error(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(StoreDamagedError):
        BackupReader(packed(tmp_path / "backup", line), schema=1)


def test_a_table_without_a_name_is_an_error(tmp_path: Path) -> None:
    path = packed(tmp_path / "backup", json.dumps(HEADER).encode(), b'{"table":3}')
    with pytest.raises(StoreDamagedError, match="no name"):
        read_all(path)
