from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds import ownfile
from scrapy_resume.feeds.footprint import Footprint
from scrapy_resume.feeds.ownfile import OwnFile, drop_ranges, minus, rewrite
from scrapy_resume.feeds.record import Claim, FeedRecord, Phase, decode_record, encode_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"before")
    return path


@pytest.fixture
def file(path: Path) -> OwnFile:
    return OwnFile(path, Footprint(path, "books#1"))


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_own_bytes_are_known_among_others(file: OwnFile, path: Path) -> None:
    file.append(b"one")
    file.append(b"two")
    add(path, b"theirs")
    file.append(b"three")
    assert path.read_bytes() == b"beforeonetwotheirsthree"
    assert list(file.claim.ranges) == [(6, 12), (18, 23)]
    drop_ranges(path, file.claim.ranges)
    assert path.read_bytes() == b"beforetheirs"


def test_the_footprint_knows_of_bytes_before_they_are_written(
    file: OwnFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.append(b"one")

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(ownfile.os, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        file.append(b"two")
    noted = Footprint(path, "books#1").read()
    assert noted is not None
    assert list(noted.ranges) == [(6, 12)]
    assert bytes.fromhex(noted.head) == b"onetwo"
    assert Footprint(path, "books#2").read() is None


def test_a_write_that_found_no_room_goes_on_where_it_stopped(
    file: OwnFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, room = os.write, [4]

    def with_room(number: int, chunk: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        written = write(number, chunk[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(ownfile.os, "write", with_room)
    with pytest.raises(OSError, match="full"):
        file.append(b"abcdefgh")
    room[0] = 100
    file.append(b"")
    assert path.read_bytes() == b"beforeabcdefgh"
    assert list(file.claim.ranges) == [(6, 14)]


def test_a_file_is_taken_up_by_what_it_holds(file: OwnFile, path: Path) -> None:
    file.append(b"one")
    claim = file.claim
    file.append(b"two")
    again = OwnFile(path, Footprint(path, "books#1"))
    assert again.adopt(claim)
    assert again.claim == claim
    path.write_bytes(b"beforeXne")
    assert not again.adopt(claim)


@pytest.mark.parametrize("size", range(6, 12))
def test_a_file_that_was_cut_is_told_from_somebody_elses(
    file: OwnFile, path: Path, size: int
) -> None:
    file.append(b"onetwo")
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert file.is_cut(file.claim)
    if size > 6:
        path.write_bytes(b"before" + b"?" * (size - 6))
        assert not file.is_cut(file.claim)


@pytest.mark.parametrize("change", ["deleted", "replaced", "cut"])
def test_a_file_that_changed_meanwhile_is_not_written_to(
    file: OwnFile, path: Path, change: str
) -> None:
    file.append(b"one")
    if change == "deleted":
        path.unlink()
    elif change == "replaced":
        rewrite(path, ())
    else:
        path.write_bytes(b"bef")
    with pytest.raises(FeedFileChangedError):
        file.append(b"two")


def test_a_rewritten_file_has_new_bytes_in_the_place_of_old_ones(path: Path) -> None:
    path.chmod(0o640)
    new = path.with_name("new")
    new.write_bytes(b"NEW")
    with new.open("rb") as insert:
        rewrite(path, [(1, 3)], insert)
    assert path.read_bytes() == b"bNEWore"
    assert path.stat().st_mode & 0o777 == 0o640


def test_ranges_without_others() -> None:
    assert minus([(0, 10)], [(2, 3), (5, 12)]) == [(0, 2), (3, 5)]
    assert minus([(0, 3), (5, 8)], [(1, 6)]) == [(0, 1), (6, 8)]
    assert minus([(4, 4)], []) == []


def test_a_name_of_any_length_has_a_footprint(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".jsonl")
    footprint = Footprint(path, "books#1")
    footprint.write(Claim([(0, 1)], "00", "00"))
    noted = footprint.read()
    assert noted is not None
    assert list(noted.ranges) == [(0, 1)]
    footprint.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_footprint_claims_nothing(path: Path) -> None:
    footprint = Footprint(path, "books#1")
    footprint.path.write_bytes(b'{"ranges": [[0,')
    assert footprint.read() is None


def test_a_record_comes_back_from_the_store_as_it_was() -> None:
    record = FeedRecord(
        "items.jsonl",
        "00",
        batch=3,
        fields=("a", "b"),
        phase=Phase.stored,
        claim=Claim(((0, 5), (7, 9)), "11", "22"),
        ending=(9, 10),
    )
    again = decode_record(encode_record(record))
    assert encode_record(again) == encode_record(record)
