from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds import shared_file_appender
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.claim_verification import Contents
from scrapy_resume.feeds.ownership_note import NoteFile
from scrapy_resume.feeds.shared_file_appender import SharedFileAppender
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"before")
    return path


@pytest.fixture
def file(path: Path) -> SharedFileAppender:
    return SharedFileAppender(path, NoteFile(path, "books#1"))


@contextmanager
def contents(path: Path) -> Iterator[Contents]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield Contents(file)
    finally:
        os.close(file)


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_own_bytes_are_known_among_others(file: SharedFileAppender, path: Path) -> None:
    file.append(b"one")
    file.append(b"two")
    add(path, b"theirs")
    file.append(b"three")
    assert path.read_bytes() == b"beforeonetwotheirsthree"
    assert list(file.claim.ranges) == [(6, 12), (18, 23)]
    with SharedFileEditor(path, NoteFile(path, "books#1")) as rewriting:
        rewriting.drop(file.claim.ranges, file.claim, Claim())
    assert path.read_bytes() == b"beforetheirs"


def test_the_note_knows_of_bytes_before_they_are_written(
    file: SharedFileAppender, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.append(b"one")

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(shared_file_appender.os, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        file.append(b"two")
    noted = NoteFile(path, "books#1").read()
    assert noted is not None
    assert list(noted.note.ranges) == [(6, 12)]
    assert bytes.fromhex(noted.note.head) == b"onetwo"
    assert NoteFile(path, "books#2").read() is None


def test_a_write_that_found_no_room_goes_on_where_it_stopped(
    file: SharedFileAppender, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, [4]

    def with_room(number: int, chunk: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        written = write(number, chunk[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(shared_file_appender.os, "write", with_room)
    with pytest.raises(OSError, match="full"):
        file.append(b"abcdefgh")
    room[0] = 100
    file.append(b"")
    assert path.read_bytes() == b"beforeabcdefgh"
    assert list(file.claim.ranges) == [(6, 14)]


def test_a_file_is_taken_up_by_what_it_holds(file: SharedFileAppender, path: Path) -> None:
    file.append(b"one")
    claim = file.claim
    file.append(b"two")
    assert SharedFileAppender(path, NoteFile(path, "books#1"), claim).claim == claim
    with contents(path) as found:
        assert found.holds(claim)
    path.write_bytes(b"beforeXne")
    with contents(path) as found:
        assert not found.holds(claim)


@pytest.mark.parametrize("size", range(6, 12))
def test_a_file_that_was_cut_is_told_from_somebody_elses(
    file: SharedFileAppender, path: Path, size: int
) -> None:
    file.append(b"onetwo")
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with contents(path) as found:
        assert found.is_cut(file.claim)
    if size > 6:
        path.write_bytes(b"before" + b"?" * (size - 6))
        with contents(path) as found:
            assert not found.is_cut(file.claim)


@pytest.mark.parametrize("change", ["deleted", "replaced", "cut"])
def test_a_file_that_changed_meanwhile_is_not_written_to(
    file: SharedFileAppender, path: Path, change: str
) -> None:
    file.append(b"one")
    if change == "deleted":
        path.unlink()
    elif change == "replaced":
        path.unlink()
        path.write_bytes(b"before and after")
    else:
        path.write_bytes(b"bef")
    with pytest.raises(FeedFileChangedError):
        file.append(b"two")
