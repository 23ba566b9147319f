from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds import ownfile
from scrapy_resume.feeds.footprint import Footprint, note_of
from scrapy_resume.feeds.ownfile import OwnFile
from scrapy_resume.feeds.proof import Contents
from scrapy_resume.feeds.ranges import first_of, joined, minus, moved
from scrapy_resume.feeds.record import Claim, FeedRecord, Phase, decode_record, encode_record
from scrapy_resume.feeds.rewriting import Rewriting, rewrite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"before")
    return path


@pytest.fixture
def file(path: Path) -> OwnFile:
    return OwnFile(path, Footprint(path, "books#1"))


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


def test_own_bytes_are_known_among_others(file: OwnFile, path: Path) -> None:
    file.append(b"one")
    file.append(b"two")
    add(path, b"theirs")
    file.append(b"three")
    assert path.read_bytes() == b"beforeonetwotheirsthree"
    assert list(file.claim.ranges) == [(6, 12), (18, 23)]
    with Rewriting(path, Footprint(path, "books#1")) as rewriting:
        rewriting.drop(file.claim.ranges, file.claim, Claim())
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
    assert OwnFile(path, Footprint(path, "books#1"), claim).claim == claim
    with contents(path) as found:
        assert found.holds(claim)
    path.write_bytes(b"beforeXne")
    with contents(path) as found:
        assert not found.holds(claim)


@pytest.mark.parametrize("size", range(6, 12))
def test_a_file_that_was_cut_is_told_from_somebody_elses(
    file: OwnFile, path: Path, size: int
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
    file: OwnFile, path: Path, change: str
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


def test_a_rewritten_file_has_new_bytes_in_the_place_of_old_ones(path: Path) -> None:
    path.chmod(0o640)
    new = path.with_name("new")
    new.write_bytes(b"NEW")
    with new.open("rb") as insert:
        rewrite(path, path.with_name("copy"), [(1, 3)], insert)
    assert path.read_bytes() == b"bNEWore"
    assert path.stat().st_mode & 0o777 == 0o640


def test_ranges_without_others() -> None:
    assert minus([(0, 10)], [(2, 3), (5, 12)]) == [(0, 2), (3, 5)]
    assert minus([(0, 3), (5, 8)], [(1, 6)]) == [(0, 1), (6, 8)]
    assert minus([(4, 4)], []) == []


def test_ranges_of_which_some_bytes_are_the_first() -> None:
    assert first_of([(2, 4), (6, 9)], 3) == [(2, 4), (6, 7)]
    assert first_of([(2, 4), (6, 9)], 2) == [(2, 4)]
    assert first_of([(2, 4)], 0) == []
    assert first_of([(2, 4)], 9) == [(2, 4)]


def test_ranges_move_when_others_before_them_go_or_grow() -> None:
    assert moved([(0, 2), (6, 9)], [(2, 6)], 0) == [(0, 5)]
    assert moved([(0, 2), (6, 9)], [(2, 6)], 10) == [(0, 2), (12, 15)]
    assert moved([(3, 4), (8, 9)], [(1, 2), (5, 7)], 0) == [(2, 3), (5, 6)]
    assert moved([(0, 2)], [], 10) == [(0, 2)]


def test_ranges_that_touch_are_one() -> None:
    assert joined([(0, 2), (2, 2), (2, 5), (7, 8)]) == [(0, 5), (7, 8)]


def test_a_name_of_any_length_has_a_footprint(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".jsonl")
    footprint = Footprint(path, "books#1")
    footprint.write(note_of(Claim([(0, 1)], "00", "00")))
    noted = footprint.read()
    assert noted is not None
    assert list(noted.ranges) == [(0, 1)]
    like_it = Footprint(tmp_path / ("é" * 120 + ".jsonlines"), "books#1")
    assert like_it.read() is None
    assert list(like_it.others()) == []
    footprint.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_footprint_of_another_feed_with_a_name_like_this_ones_is_not_looked_at(
    tmp_path: Path,
) -> None:
    Footprint(tmp_path / "items.jsonl.gz", "books#1").write(note_of(Claim()))
    here = Footprint(tmp_path / "items.jsonl", "books#1")
    assert list(here.others()) == []
    other = Footprint(tmp_path / "items.jsonl", "books#2")
    other.write(note_of(Claim()))
    assert [path for path, _ in here.others()] == [other.path]


def test_a_footprint_of_many_ranges_comes_in_one_piece(path: Path) -> None:
    footprint = Footprint(path, "books#1")
    many = Claim([(9 * n, 9 * n + 1) for n in range(1_000)], "00", "00")
    for claim in (many, Claim([(0, 1)], "00", "00"), many):
        footprint.write(note_of(claim))
        noted = footprint.read()
        assert noted is not None
        assert [*noted.ranges] == [*claim.ranges]


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
