from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.ownership_note import NoteFile, note_of
from scrapy_resume.privatefiles import create_file


def test_a_name_of_any_length_has_a_note(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".jsonl")
    note_file = NoteFile(path, "books#1")
    note_file.write(note_of(Claim([(0, 1)], "00", "00")))
    noted = note_file.read()
    assert noted is not None
    assert list(noted.note.ranges) == [(0, 1)]
    like_it = NoteFile(tmp_path / ("é" * 120 + ".jsonlines"), "books#1")
    assert like_it.read() is None
    assert list(like_it.others()) == []
    note_file.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_note_of_another_feed_with_a_name_like_this_ones_is_not_looked_at(
    tmp_path: Path,
) -> None:
    NoteFile(tmp_path / "items.jsonl.gz", "books#1").write(note_of(Claim()))
    here = NoteFile(tmp_path / "items.jsonl", "books#1")
    assert list(here.others()) == []
    other = NoteFile(tmp_path / "items.jsonl", "books#2")
    other.write(note_of(Claim()))
    assert [path for path, _ in here.others()] == [other.path]


def test_a_note_of_many_ranges_comes_in_one_piece(tmp_path: Path) -> None:
    note_file = NoteFile(tmp_path / "items.jsonl", "books#1")
    many = Claim([(9 * n, 9 * n + 1) for n in range(1_000)], "00", "00")
    for claim in (many, Claim([(0, 1)], "00", "00"), many):
        note_file.write(note_of(claim))
        noted = note_file.read()
        assert noted is not None
        assert [*noted.note.ranges] == [*claim.ranges]


def test_notes_of_completed_jobs_stay_until_the_last_job_beside_the_feed_is_completed(
    tmp_path: Path,
) -> None:
    notes = [NoteFile(tmp_path / "items.jsonl", f"books#{number}") for number in range(3)]
    for note in notes:
        note.write(note_of(Claim()))
    for left in (3, 3, 0):
        notes.pop().remove()
        assert len(list(tmp_path.iterdir())) == left


def test_a_note_in_a_folder_that_was_never_made_needs_no_removal(tmp_path: Path) -> None:
    NoteFile(tmp_path / "out" / "items.jsonl", "books#1").remove()
    assert not (tmp_path / "out").exists()


def test_a_second_line_that_is_torn_between_two_notes_does_not_count(tmp_path: Path) -> None:
    note_file = NoteFile(tmp_path / "items.jsonl", "books#1")
    note_file.write(note_of(Claim([(0, 100)], "00", "00")))
    note_file.write(note_of(Claim([(0, 200)], "00", "00")))
    found = note_file.read()
    assert found is not None
    assert (list(found.note.ranges), found.is_current) == ([(0, 200)], True)
    first, second = note_file.path.read_bytes().split(b"\n")
    note_file.path.write_bytes(first + b"\n" + second.replace(b"[0,200]", b"[0,201]"))
    found = note_file.read()
    assert found is not None
    assert (list(found.note.ranges), found.is_current) == ([(0, 100)], False)


def test_temporary_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    feed = tmp_path / "items.jsonl"
    mine, others = NoteFile(feed, "books#1 of 2"), NoteFile(feed, "maps#7 of 9")
    live = create_file(others.part)
    for path in (others.copy, mine.part, others.path, tmp_path / ".items.jsonl.new"):
        path.write_bytes(b"x")
    near = NoteFile(tmp_path / "items.jsonl.gz", "books#1 of 2").part
    near.write_bytes(b"x")
    assert sorted(mine.remove_abandoned()) == sorted([others.copy, mine.part])
    left = {others.part, others.path, near, tmp_path / ".items.jsonl.new"}
    assert set(tmp_path.iterdir()) == left
    os.close(live)
    assert mine.remove_abandoned() == [others.part]


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: os.symlink("/etc/hosts", path)])
def test_a_note_that_somebody_else_has_planted_is_not_read(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    feed = tmp_path / "items.jsonl"
    note, other = NoteFile(feed, "books#1 of 2"), NoteFile(feed, "maps#7 of 9")
    plant(other.path)
    assert list(note.others()) == []
    with pytest.raises(FeedFileChangedError, match="remove it"):
        other.read()
    note.write_other(other.path, note_of(Claim()), by="another process")
    assert not other.path.is_symlink()
    assert [path for path, _ in note.others()] == [other.path]
