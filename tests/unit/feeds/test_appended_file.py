"""Jobs that share a local file, through deaths at every write: each line is there once."""

from __future__ import annotations

import gzip
import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds import shared_file_appender, shared_file_editor
from scrapy_resume.feeds.appended_file import AppendedFile
from scrapy_resume.feeds.ownership_note import PAGE, NoteFile
from scrapy_resume.feeds.shared_file_editor import SharedFileEditor
from tests.support.coroutines import result_of

from .jobs import LINES, Job, add, contents, expected, interrupted, leftovers, lines_of, threaded


@pytest.fixture(autouse=True)
def disk_that_need_not_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Death(BaseException):
    """Of the process."""


class Deaths:
    """Dies at the n-th write point from now: before it, after it, or within a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        self.within = False
        self.passed = 0
        monkeypatch.setattr(os, "fsync", self._deadly(lambda _: None))
        for owner, name in [
            (os, "pwrite"),
            (os, "ftruncate"),
            (Path, "replace"),
            (Path, "unlink"),
        ]:
            monkeypatch.setattr(owner, name, self._deadly(getattr(owner, name)))
        self._write = os.write
        monkeypatch.setattr(os, "write", self._deadly_write)

    @contextmanager
    def at(self, number: float, *, within: bool = False) -> Iterator[None]:
        self.left, self.within = number, within
        try:
            yield
        finally:
            self.left = float("inf")

    def _passes(self) -> None:
        self.passed += 1
        self.left -= 1
        if self.left < 0:
            raise Death

    def _deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def deadly(*args: Any, **kwargs: Any) -> Any:
            self._passes()
            result = call(*args, **kwargs)
            self._passes()
            return result

        return deadly

    def _deadly_write(self, file: int, text: bytes) -> int:
        size = os.fstat(file).st_size
        page = PAGE - size % PAGE
        try:
            self._passes()
        except Death:
            if self.within and page < len(text):
                self._write(file, text[:page])
            raise
        written = self._write(file, text)
        self._passes()
        return written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.jsonl"


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    return Deaths(monkeypatch)


# One after the other


@pytest.mark.parametrize("committed", [0, 2])
def test_a_job_that_drops_its_bytes_tells_those_behind_them_where_theirs_are(
    path: Path, committed: int
) -> None:
    one = Job(path, "one", lines_of("one"))
    other = Job(path, "other", lines_of("other", 5))
    third = Job(path, "third", lines_of("third", 9))
    add(path, b"before\n")
    interrupted(one, 3, 2)
    interrupted(other, committed, 2)
    interrupted(third, 1, 1)
    one.complete()
    third.start()
    assert third.record is not None
    assert third.record.count == 1  # it goes on where it was
    third.die()
    other.complete()
    third.complete()
    assert contents(path) == expected(one, other, third, others=[b"before\n"])
    assert leftovers(path) == []


@pytest.mark.parametrize("kinds", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_jobs_of_any_kind_take_turns_in_any_order(
    path: Path, kinds: tuple[bool, ...], order: tuple[int, ...]
) -> None:
    jobs = [
        Job(path, f"job {n}", lines_of(f"job {n}", n), placed=kind) for n, kind in enumerate(kinds)
    ]
    for job in jobs:
        if job.placed:
            job.start()
            job.write(3)
            job.deliver()
            job.die()
        else:
            interrupted(job, 2, 2)
    for number in order:
        jobs[number].complete()
    found = path.read_bytes()
    for job in jobs:
        text = b"".join(job.lines)
        for part in [gzip.compress(text, mtime=0)] if job.placed else job.lines:
            assert found.count(part) == 1
            found = found.replace(part, b"")
    assert found == b""


# At every point


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize(
    "first", ["third", *(pytest.param(one, marks=pytest.mark.soak) for one in ("one", "other"))]
)
def test_a_death_at_any_write_of_a_resume_leaves_every_line_once(
    tmp_path: Path, deaths: Deaths, first: str, foreign: bool, within: bool
) -> None:
    survived = False
    number = 0
    while not survived:
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "items.jsonl"
        start = b"." * (PAGE - 200) + b"\n"
        add(path, start)
        jobs = {name: Job(path, name, lines_of(name, 60)) for name in ("one", "other", "third")}
        jobs["third"].placed = True
        jobs["third"].lines = [b"third in a piece\n"]
        interrupted(jobs["one"], 2, 2)
        jobs["third"].start()
        jobs["third"].deliver()
        jobs["third"].die()
        jobs["third"].lines.append(b"third, grown\n")
        interrupted(jobs["other"], 0, 3)
        dying = jobs.pop(first)
        try:
            with deaths.at(number, within=within):
                dying.complete()
            survived = True
        except Death:
            dying.die()
            if foreign:
                add(path, b"theirs\n")
        for job in jobs.values():
            job.complete()
        if not dying.ended:
            dying.complete()
        found = path.read_bytes()
        (third,) = (job for job in (*jobs.values(), dying) if job.placed)
        packed = gzip.compress(b"".join(third.lines), mtime=0)
        assert found.count(packed) == 1, number
        lines = Counter(found.replace(packed, b"").splitlines(keepends=True))
        others = [start] + [b"theirs\n"] * (foreign and not survived)
        appended = [job for job in (*jobs.values(), dying) if not job.placed]
        assert lines == expected(*appended, others=others), number
        assert not survived or leftovers(path) == []
        number += 1
    assert number > 10


@pytest.mark.parametrize("seed", range(40))
def test_jobs_that_die_at_random_and_take_turns_leave_every_line_once(
    path: Path, deaths: Deaths, seed: int
) -> None:
    turns_and_deaths(path, deaths, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40, 2_000))
def test_jobs_that_die_at_random_very_often_and_take_turns_leave_every_line_once(
    path: Path, deaths: Deaths, seed: int
) -> None:
    turns_and_deaths(path, deaths, seed)


def turns_and_deaths(path: Path, deaths: Deaths, seed: int) -> None:
    chance = random.Random(seed)
    theirs: list[bytes] = [b"." * chance.choice([3, PAGE - 30]) + b"\n"]
    add(path, theirs[0])
    jobs = [
        Job(path, name, lines_of(name, chance.choice([0, 20, 200])))
        for name in ("one", "other", "third")
    ]
    for _ in range(chance.randrange(5, 25)):
        job = chance.choice(jobs)
        act = chance.random()
        try:
            with deaths.at(chance.choice([0, 1, 2, 3, 5, 8, 13, 99])):
                if job.ended:
                    continue
                if job.record is None:
                    job.start()
                elif act < 0.6:
                    job.write(chance.randrange(1, 5))
                elif act < 0.8:
                    job.commit()
                else:
                    raise Death
        except Death:
            job.die()
        if chance.random() < 0.3:
            theirs.append(b"theirs %03d\n" % len(theirs))
            add(path, theirs[-1])
    chance.shuffle(jobs)
    for job in jobs:
        job.die()
        job.complete()
    assert contents(path) == expected(*jobs, others=theirs)
    assert leftovers(path) == []


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("committed", [0, 2])
@pytest.mark.parametrize("settled", [False, True])
def test_a_feed_that_is_cut_at_any_byte_is_whole_again(
    tmp_path: Path, deaths: Deaths, settled: bool, committed: int, noted: bool
) -> None:
    for size in itertools.count():
        folder = tmp_path / str(size)
        folder.mkdir()
        path = folder / "items.jsonl"
        add(path, b"before\n")
        one = Job(path, "one", lines_of("one"))
        one.start()
        one.write(committed)
        one.commit()
        one.write(1)
        if settled:
            one.write(2)
        else:
            with pytest.raises(Death), deaths.at(3):
                one.write(2)
        one.die()
        if not noted:
            path.with_name(leftovers(path)[0]).unlink()
        content = path.read_bytes()
        path.write_bytes(content[:size])
        one.complete()
        left = b"before\n"[:size]
        if left.endswith(b"\n"):
            assert contents(path) == expected(one, others=[left]), size
        else:
            assert path.read_bytes() == left + b"".join(one.lines), size
        if size == len(content):
            break
    assert size > 30


# What a note proves


def announced(path: Path, deaths: Deaths, job: Job, *, within: bool = False) -> None:
    """The job dies in the write of its third and later lines."""
    job.start()
    job.write(2)
    job.commit()
    # What a write passes: before and after that of the note, then before that of the feed.
    with pytest.raises(Death), deaths.at(2, within=within):
        job.write(5)
    job.die()


def test_what_others_appended_in_the_place_of_a_piece_that_never_came_stays(
    path: Path, deaths: Deaths
) -> None:
    one = Job(path, "one", lines_of("one"))
    announced(path, deaths, one)
    theirs = [b"one 0 is a line of somebody else's\n"] * 9
    for line in theirs:
        add(path, line)
    one.complete()
    assert contents(path) == expected(one, others=theirs)


def test_what_another_job_wrote_in_the_place_of_the_same_piece_stays_its_own(
    path: Path, deaths: Deaths
) -> None:
    one, other = Job(path, "one", lines_of("same")), Job(path, "other", lines_of("same"))
    one.start()
    one.write(0)
    with pytest.raises(Death), deaths.at(2):
        one.write(5)
    one.die()
    assert path.read_bytes() == b""
    other.start()
    other.write(5)
    other.commit()
    other.die()
    one.complete()
    other.start()
    assert other.record is not None
    assert other.record.count == 5
    other.die()
    other.complete()
    assert contents(path) == expected(one, other, others=[])


def test_others_bytes_that_begin_as_a_piece_that_never_came_do_not_count_as_torn(
    path: Path, deaths: Deaths
) -> None:
    one, other = Job(path, "one", lines_of("same", 400)), Job(path, "other", lines_of("same", 400))
    one.start()
    one.write(0)
    with pytest.raises(Death), deaths.at(2):
        one.write(8)
    one.die()
    other.lines[3:] = lines_of("other", 400)
    interrupted(other, 0, 3)
    interrupted(other, 3, LINES)
    one.complete()
    other.complete()
    assert contents(path) == expected(one, other, others=[])


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_note_of_a_job_that_was_given_up_does_not_claim_the_same_bytes_of_another(
    path: Path, overwrite: bool
) -> None:
    given_up = Job(path, "given up", lines_of("same"))
    one = Job(path, "one", lines_of("same"), overwrite=overwrite)
    interrupted(given_up, 0, 3)
    if not overwrite:
        path.unlink()
    interrupted(one, 2, 2)
    one.complete()
    assert contents(path) == expected(one, others=[])


def test_a_job_whose_bytes_another_has_overwritten_writes_them_again(path: Path) -> None:
    one = Job(path, "one", lines_of("one"))
    other = Job(path, "other", lines_of("other"), overwrite=True)
    interrupted(one, 2, 2)
    interrupted(other, 3, 3)
    one.complete()
    other.complete()
    assert contents(path) == expected(one, other, others=[])


def test_without_its_note_a_job_leaves_what_others_have_noted(path: Path) -> None:
    one, other = Job(path, "one", lines_of("one")), Job(path, "other", lines_of("other"))
    interrupted(one, 2, 2)
    path.with_name(leftovers(path)[0]).unlink()
    interrupted(other, 2, 2)
    one.complete()
    other.complete()
    assert contents(path) == expected(one, other, others=[])


def test_a_piece_that_came_to_stand_behind_anothers_is_found_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Job(path, "one", lines_of("one"))
    one.start()
    one.write(2)
    one.commit()
    write = os.write

    def late(file: int, text: bytes) -> int:
        add(path, b"theirs\n")
        write(file, text)
        raise Death

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", late)
        with pytest.raises(Death):
            one.write(5)
    one.die()
    add(path, b"theirs\n")
    one.complete()
    assert contents(path) == expected(one, others=[b"theirs\n"] * 2)


@pytest.mark.parametrize("length", [10, 400])
def test_a_piece_that_was_torn_is_dropped(path: Path, deaths: Deaths, length: int) -> None:
    one = Job(path, "one", lines_of("one", length))
    start = b"." * (PAGE - 2 * (length + 9) - 31) + b"\n"
    add(path, start)
    announced(path, deaths, one, within=True)
    assert path.stat().st_size == PAGE
    one.complete()
    assert contents(path) == expected(one, others=[start])


@pytest.mark.parametrize("length", [10, 400])
def test_a_torn_piece_with_others_bytes_behind_it_is_left_alone(
    path: Path, deaths: Deaths, length: int
) -> None:
    one = Job(path, "one", lines_of("one", length))
    add(path, b"." * (PAGE - 2 * (length + 9) - 31) + b"\n")
    announced(path, deaths, one, within=True)
    add(path, b"theirs\n" * 2_000)
    found = path.read_bytes()
    with pytest.raises(FeedFileChangedError, match="somebody else has changed"):
        one.start()
    assert path.read_bytes() == found


@pytest.mark.parametrize("placed", [False, True])
def test_bytes_that_the_note_alone_knows_and_that_were_altered_are_left_alone(
    path: Path, placed: bool
) -> None:
    one = Job(path, "one", lines_of("one"), placed=placed)
    one.start()
    one.write(5)
    record = one.stored
    if placed:
        one.deliver()
    else:
        one.write(5)
    one.stored = record
    one.die()
    found = bytearray(path.read_bytes())
    found[-3] ^= 1
    path.write_bytes(found)
    with pytest.raises(FeedFileChangedError, match="somebody else has changed"):
        one.start()
    assert path.read_bytes() == found


@pytest.mark.parametrize("left", [0, 50, 300])
def test_a_note_that_a_power_cut_has_torn_leaves_the_decision_to_the_store(
    path: Path, left: int
) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 2, 2)
    note = path.with_name(leftovers(path)[0])
    note.write_bytes(note.read_bytes()[:left].ljust(600, b"\0"))
    one.complete()
    assert contents(path) == expected(one, others=[])


# While others write


def test_a_live_job_goes_on_in_the_file_that_another_has_rewritten(path: Path) -> None:
    one, other = Job(path, "one", lines_of("one")), Job(path, "other", lines_of("other"))
    interrupted(one, 2, 2)
    other.start()
    other.write(3)
    one.start()
    other.write(3)
    assert other.record is not None
    (claimed,) = other.record.claim.ranges
    assert path.read_bytes()[slice(*claimed)] == b"".join(other.lines[:6])
    one.write(5)
    other.write(2)
    one.die()
    other.deliver()
    one.complete()
    assert contents(path) == expected(one, other, others=[])


def test_a_process_that_lost_its_job_by_force_writes_to_no_feed(path: Path) -> None:
    old = Job(path, "one", lines_of("one"))
    old.start()
    old.write(2)
    old.commit()
    new = Job(path, "one", lines_of("one"), stored=old.stored)
    new.target = AppendedFile(path, "one", threaded, overwrite=False, fence=True)
    new.record, new.opened = new.target.resume(new.stored), True
    assert new.record.count == 2
    with pytest.raises(FeedFileChangedError, match="another process"):
        old.write(3)
    old.die()
    new.write(LINES)
    assert contents(path) == expected(new, others=[])


@pytest.mark.parametrize("copied", [False, True])
def test_what_the_old_process_wrote_while_its_job_was_taken_over_is_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    old = Job(path, "one", lines_of("one"))
    old.start()
    old.write(2)
    old.commit()
    new = Job(path, "one", lines_of("one"), stored=old.stored)
    new.target = AppendedFile(path, "one", threaded, overwrite=False, fence=True)
    rewrite = shared_file_editor.rewrite

    def late(*args: Any) -> None:
        if copied:
            rewrite(*args)
            with pytest.raises(FeedFileChangedError, match="another process"):
                old.write(3)
        else:
            old.write(3)
            rewrite(*args)

    with monkeypatch.context() as patched:
        patched.setattr(
            shared_file_appender, "take_turn", lambda *_, **__: None
        )  # the old one had its turn
        if not copied:
            patched.setattr(shared_file_appender.SharedFileAppender, "_check_file", lambda _: None)
        patched.setattr(shared_file_editor, "rewrite", late)
        new.record, new.opened = new.target.resume(new.stored), True
    old.die()
    new.write(LINES)
    assert contents(path) == expected(new, others=[])


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("completed", [False, True])
def test_a_process_that_wakes_when_another_has_gone_on_with_its_job_writes_to_no_feed(
    path: Path, placed: bool, completed: bool
) -> None:
    old = Job(path, "one", lines_of("one"), placed=placed)
    old.start()
    old.write(2)
    old.commit()
    new = Job(path, "one", lines_of("one"), placed=placed)
    if not placed:
        new.stored = old.stored
    if completed:
        new.complete()
    else:
        new.start()
        new.write(3)
    found = path.read_bytes() if path.exists() else b""
    with pytest.raises(FeedFileChangedError, match="another process"):
        old.deliver()
    assert (path.read_bytes() if path.exists() else b"") == found
    old.die()
    if not completed:
        new.deliver()
        new.die()


def ended(job: Job) -> None:
    """A job that was completed, and is reopened."""
    job.start()
    job.write(LINES)
    assert job.record is not None
    job.target.write(b"the end\n")
    job.record = result_of(job.target.deliver(job.record, 8))
    job.stored = replace(job.record, noted=False)
    job.target.remove_note()
    job.die()


def test_a_completed_job_that_goes_on_takes_its_end_off_and_leaves_what_others_appended(
    path: Path,
) -> None:
    one = Job(path, "one", lines_of("one"))
    ended(one)
    add(path, b"theirs\n")
    one.complete()
    assert contents(path) == expected(one, others=[b"theirs\n"])


def test_the_end_of_a_completed_job_that_is_not_where_it_was_is_not_taken_off(path: Path) -> None:
    one = Job(path, "one", lines_of("one"))
    ended(one)
    path.write_bytes(path.read_bytes().replace(b"the end\n", b"theirs, \nthe end\n"))
    found = path.read_bytes()
    with pytest.raises(FeedFileChangedError, match="somebody else has changed"):
        one.start()
    assert path.read_bytes() == found


def test_an_append_waits_a_moment_for_who_rewrites_the_file(path: Path) -> None:
    one = Job(path, "one", lines_of("one"))
    one.start()
    one.write(2)
    with (
        SharedFileEditor(path, NoteFile(path, "other")),
        pytest.raises(BlockingIOError, match="others are rewriting the file"),
    ):
        one.write(3)
    one.target.write(b"")
    assert path.read_bytes() == b"".join(one.lines[:5])
    over = Job(path, "over", lines_of("over"), overwrite=True)
    over.start()
    with SharedFileEditor(path, NoteFile(path, "other")), pytest.raises(BlockingIOError):
        over.write(3)
    over.write(3)
    assert path.read_bytes() == b"".join(over.lines[:3])


def test_who_waited_for_a_file_that_was_rewritten_gets_the_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 2, 2)
    take_turn = shared_file_editor.take_turn

    def late(file: int, *, wait: bool) -> None:
        monkeypatch.undo()
        shared_file_editor.rewrite(path, path.with_name("copy"))
        take_turn(file, wait=wait)

    monkeypatch.setattr(shared_file_editor, "take_turn", late)
    one.complete()
    assert contents(path) == expected(one, others=[])


def test_what_was_to_be_overwritten_is_not_once_the_job_has_begun(path: Path) -> None:
    one = Job(path, "one", lines_of("one"), overwrite=True)
    add(path, b"before\n")
    one.start()
    one.write(2)
    one.die()  # the store does not know of it
    add(path, b"theirs\n")
    one.complete()
    assert contents(path) == expected(one, others=[b"theirs\n"])


def test_what_is_to_be_overwritten_by_a_placed_file_goes_when_that_comes(path: Path) -> None:
    one = Job(path, "one", lines_of("one"), overwrite=True, placed=True)
    add(path, b"before\n")
    one.start()
    one.write(2)
    one.die()
    assert path.read_bytes() == b"before\n"
    one.start()
    one.write(2)
    record = one.record
    one.deliver()
    one.stored, one.record = record, None  # the store does not know of it
    add(path, b"theirs\n")
    one.complete()
    assert gzip.decompress(path.read_bytes()[:-7]) == b"".join(one.lines)
    assert path.read_bytes().endswith(b"theirs\n")
