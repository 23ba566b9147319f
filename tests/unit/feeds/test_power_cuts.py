"""After a power cut, feed, note and store may each be of another moment: each line is there once.

The machine restarts between the moments at which the states were taken and the resume; the states
are those that a file system may leave of files whose changes were synced as they are.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scrapy_resume import disk
from scrapy_resume.commands.output_file import output_file
from scrapy_resume.errors import FeedFileChangedError
from scrapy_resume.feeds import ownership_note
from scrapy_resume.feeds.appended_file import AppendedFile
from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.ownership_note import CLOCK_SECONDS, PAGE, NoteFile
from tests.support.coroutines import result_of

from .jobs import LINES, Job, add, contents, expected, interrupted, leftovers, lines_of, threaded

BEFORE = b"before\n"

Damage = Callable[[bytes, int], bytes]
"""Of a feed's bytes, after the first so many, which were synced."""


class Machine:
    """Has a boot, until it restarts."""

    def __init__(self) -> None:
        self.boots = 0

    def boot_id(self) -> str:
        return f"boot {self.boots}"

    def restart(self) -> None:
        self.boots += 1


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(ownership_note, "boot_id", machine.boot_id)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return machine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.jsonl"


def note_path(path: Path, job: str) -> Path:
    return NoteFile(path, job).path


# One job: feed, note, record


@dataclass
class Moment:
    """What there was at one time."""

    feed: bytes
    note: bytes
    record: FeedRecord


def moments(path: Path, **how: Any) -> list[Moment]:
    """Of a job that writes its lines in four pieces, the last of which is not committed. Others'
    bytes stand before and, of the third moment on, between its own."""
    add(path, BEFORE)
    one = Job(path, "one", lines_of("one", 300), **how)
    one.start()
    found = []
    for count in (0, 4, 3, 5):
        if count == 3:
            add(path, b"theirs\n")
        one.write(count)
        note = note_path(path, "one").read_bytes()
        found.append(Moment(path.read_bytes(), note, one.stored))
        if count:
            one.commit()
    one.die()
    return found


def as_it_was(feed: bytes, synced: int) -> bytes:
    return feed


def cut_in_the_middle(feed: bytes, synced: int) -> bytes:
    return feed[: (synced + len(feed)) // 2]


def blank_at_its_end(feed: bytes, synced: int) -> bytes:
    return feed[: max(synced, len(feed) - 500)].ljust(len(feed), b"\0")


def blank_in_the_middle(feed: bytes, synced: int) -> bytes:
    start = (synced + len(feed)) // 2 // 512 * 512
    start = max(start, synced)
    return feed[:start] + b"\0" * min(512, len(feed) - start) + feed[start + 512 :]


def blank(feed: bytes, synced: int) -> bytes:
    return feed[:synced].ljust(len(feed), b"\0")


def longer_than_it_was_written(feed: bytes, synced: int) -> bytes:
    return feed + b"\0" * PAGE


def all_gone(feed: bytes, synced: int) -> bytes:
    return feed[:synced]


DAMAGES: list[Damage] = [
    as_it_was,
    cut_in_the_middle,
    blank_at_its_end,
    blank_in_the_middle,
    blank,
    longer_than_it_was_written,
    all_gone,
]


def torn(note: bytes, later: bytes) -> bytes:
    """A part of what was written over the second line."""
    line = note.index(b"\n") + 1
    return later[: line + 200] + note[line + 200 :]


def blank_note(note: bytes) -> bytes:
    return note[: note.index(b"\n") + 1].ljust(len(note), b"\0")


def note_states(found: list[Moment]) -> Iterator[bytes | None]:
    yield from (moment.note for moment in found)
    yield from (torn(one.note, other.note) for one, other in itertools.pairwise(found[1:]))
    yield blank_note(found[2].note)
    yield b"\0" * 900
    yield b""


def ends_whole(path: Path, state: tuple[bytes, bytes | None, FeedRecord], **how: Any) -> None:
    feed, note, record = state
    path.write_bytes(feed)
    beside = note_path(path, "one")
    if note is None:
        beside.unlink(missing_ok=True)
    else:
        beside.write_bytes(note)
    one = Job(path, "one", lines_of("one", 300), stored=record, **how)
    one.complete()


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_combination_of_feed_note_and_record_ends_in_a_whole_feed(
    path: Path, machine: Machine, damage: Damage
) -> None:
    found = moments(path)
    number = 0
    records = [found[0].record, found[1].record, found[3].record]
    for moment, note, record in itertools.product(found[1:], note_states(found), records):
        machine.restart()
        ends_whole(path, (damage(moment.feed, len(BEFORE)), note, record))
        lines = contents(path)
        # Whose these are only a note or a record shows that survived, with the bytes around them.
        lines.pop(b"theirs\n", None)
        one = Job(path, "one", lines_of("one", 300))
        assert lines == expected(one, others=[BEFORE]), number
        assert leftovers(path) == []
        number += 1
    assert number == 3 * 9 * 3


@pytest.mark.parametrize("knows", ["note", "record"])
def test_what_a_surviving_note_or_record_shows_to_be_others_stays(
    path: Path, machine: Machine, knows: str
) -> None:
    found = moments(path)
    machine.restart()
    if knows == "note":
        ends_whole(path, (found[3].feed, found[2].note, found[1].record))
    else:
        ends_whole(path, (found[3].feed, found[0].note, found[3].record))
    one = Job(path, "one", lines_of("one", 300))
    assert contents(path) == expected(one, others=[BEFORE, b"theirs\n"])


@pytest.mark.parametrize("old", [b"", b"old\n" * 9, b"old\n" * 9_000])
def test_what_was_overwritten_and_is_back_goes_again(
    path: Path, machine: Machine, old: bytes
) -> None:
    found = moments(path, overwrite=True)
    for moment, source in itertools.product(found, found):
        for note, kept in itertools.product([source.note, b""], [0, 700]):
            machine.restart()
            feed = moment.feed[:kept] + old[kept:]
            ends_whole(path, (feed, note, moment.record), overwrite=True)
            assert contents(path) == expected(Job(path, "one", lines_of("one", 300)), others=[])


# Placed files


def test_a_placed_file_is_replaced_whatever_note_and_record_say(
    path: Path, machine: Machine
) -> None:
    add(path, BEFORE)
    one = Job(path, "one", lines_of("one", 300), placed=True)
    found = []
    for count in (3, 5):
        one.start()
        one.write(count)
        planned, before = one.stored, path.read_bytes()
        assert one.record is not None
        one.record = result_of(one.target.deliver(one.record, 0))
        note = note_path(path, "one").read_bytes()
        found.append(Moment(path.read_bytes(), note, one.record))
        one.commit()
        one.die()
    states = [(before, found[0].note), (found[1].feed, found[1].note), (found[1].feed, b"")]
    for (feed, note), record in itertools.product(
        states, [planned, found[0].record, found[1].record]
    ):
        machine.restart()
        path.write_bytes(feed)
        note_path(path, "one").write_bytes(note)
        again = Job(path, "one", one.lines, placed=True, stored=record)
        again.complete()
        whole = Job(path.with_name("whole"), "one", one.lines, placed=True)
        whole.complete()
        assert path.read_bytes() == BEFORE + whole.path.read_bytes()
        whole.path.unlink()


# Two jobs


@dataclass
class Shared:
    """The states of a feed that two jobs append to."""

    feeds: list[bytes]
    notes: dict[str, list[bytes]]
    records: dict[str, list[FeedRecord]]


def shared_states(path: Path) -> Shared:
    jobs = {name: Job(path, name, lines_of(name, 300)) for name in ("one", "other")}
    add(path, BEFORE)
    states = Shared([], {name: [] for name in jobs}, {name: [] for name in jobs})
    for job in jobs.values():
        job.start()
        job.write(0)
    for name in ("one", "other", "one", "one", "other", "other", "one"):
        states.feeds.append(path.read_bytes())
        for each, job in jobs.items():
            states.notes[each].append(note_path(path, each).read_bytes())
            states.records[each].append(job.stored)
        jobs[name].write(2)
        jobs[name].commit()
    for job in jobs.values():
        job.die()
    return states


def shared_feed_becomes_whole(path: Path, machine: Machine, chance: random.Random) -> None:
    states = shared_states(path)
    damage = chance.choice(DAMAGES)
    path.write_bytes(damage(chance.choice(states.feeds), len(BEFORE)))
    jobs = []
    for name, notes in states.notes.items():
        earlier, later = sorted(chance.sample(notes, 2), key=notes.index)
        note = chance.choice([earlier, later, torn(earlier, later), blank_note(later)])
        note_path(path, name).write_bytes(note)
        record = chance.choice(states.records[name])
        jobs.append(Job(path, name, lines_of(name, 300), stored=record))
    machine.restart()
    chance.shuffle(jobs)
    # One may die again before the other goes on; the machine may restart once more.
    if chance.random() < 0.5:
        interrupted(jobs[0], 2, 2)
        if chance.random() < 0.5:
            machine.restart()
    for job in chance.sample(jobs, 2):
        job.complete()
        if chance.random() < 0.3:
            machine.restart()
    assert contents(path) == expected(*jobs, others=[BEFORE])
    assert leftovers(path) == []


@pytest.mark.parametrize("seed", range(60))
def test_a_feed_that_two_jobs_append_to_becomes_whole(
    path: Path, machine: Machine, seed: int
) -> None:
    shared_feed_becomes_whole(path, machine, random.Random(seed))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60, 5_000))
def test_a_feed_that_two_jobs_append_to_becomes_whole_very_often(
    path: Path, machine: Machine, seed: int
) -> None:
    shared_feed_becomes_whole(path, machine, random.Random(seed))


def test_a_job_that_moves_bytes_whose_note_is_old_leaves_all_that_may_be_the_others(
    path: Path, machine: Machine
) -> None:
    one, other = Job(path, "one", lines_of("one")), Job(path, "other", lines_of("other"))
    one.start()
    one.write(1)
    other.start()
    other.write(1)
    other.commit()
    older = note_path(path, "other").read_bytes()
    for job in (one, other, one):
        job.write(1)
    one.die()
    other.die()
    note_path(path, "other").write_bytes(older)
    machine.restart()
    one.complete()  # its record knows nothing: all its bytes are taken out from between the others
    other.complete()
    assert contents(path) == expected(one, other, others=[])


# What is others' stays


def test_after_a_pause_what_others_append_stays_over_a_restart(
    path: Path, machine: Machine
) -> None:
    one = Job(path, "one", lines_of("one"))
    one.start()
    one.write(4)
    one.record = result_of(one.target.deliver(one.record, 0))
    one.target.rest()
    one.commit()
    one.die()
    machine.restart()
    add(path, b"theirs\n")
    one.complete()
    assert contents(path) == expected(one, others=[b"theirs\n"])


@pytest.mark.parametrize("restarts", ["before", "after", "before and after"])
@pytest.mark.parametrize("committed", [0, 2])
def test_a_completed_job_does_not_lose_its_lines_to_one_that_was_killed_before_it(
    path: Path, machine: Machine, committed: int, restarts: str
) -> None:
    one, other = Job(path, "one", lines_of("one")), Job(path, "other", lines_of("other"))
    interrupted(one, committed, 3)
    if "before" in restarts:
        machine.restart()
    other.complete()
    if "after" in restarts:
        machine.restart()
    one.complete()
    assert contents(path) == expected(one, other, others=[])
    assert leftovers(path) == []


def test_without_a_restart_what_others_append_after_a_kill_stays(path: Path) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 2, 2)
    add(path, b"theirs\n")
    one.complete()
    assert contents(path) == expected(one, others=[b"theirs\n"])


def test_bytes_that_may_be_others_are_removed_with_a_word(
    path: Path, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 2, 2)
    machine.restart()
    add(path, b"whose?\n")
    one.complete()
    assert contents(path) == expected(one, others=[])
    assert "7 bytes behind what is committed are removed" in caplog.text


def test_what_was_altered_is_left_alone_after_a_restart_too(path: Path, machine: Machine) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 4, 2)
    altered = path.read_bytes().replace(b"one 001", b"ONE 001")
    path.write_bytes(altered)
    machine.restart()
    with pytest.raises(FeedFileChangedError, match="somebody else has changed"):
        one.start()
    assert path.read_bytes() == altered


# An older note that was put back, in the same boot


def test_an_older_note_that_was_put_back_is_not_believed(path: Path) -> None:
    one = Job(path, "one", lines_of("one"))
    one.start()
    one.write(2)
    one.commit()
    older = note_path(path, "one").read_bytes()
    one.write(5)
    one.die()
    found = NoteFile(path, "one").read()
    assert found is not None
    assert found.is_current
    until_later(found.note.at)
    note_path(path, "one").write_bytes(older)
    one.complete()
    assert contents(path) == expected(one, others=[])


@pytest.mark.parametrize("size", [700, 1_900, 2_600])
def test_a_note_older_than_the_record_is_not_believed_whenever_it_was_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(ownership_note, "CLOCK_SECONDS", 3_600)
    one = Job(path, "one", lines_of("one", 300))
    one.start()
    one.write(2)
    older = note_path(path, "one").read_bytes()
    one.write(5)
    one.commit()
    one.write(2)
    one.die()
    note_path(path, "one").write_bytes(older)
    found = NoteFile(path, "one").read()
    assert found is not None
    assert found.is_current
    path.write_bytes(path.read_bytes()[:size])
    one.complete()
    assert contents(path) == expected(one, others=[])


@pytest.mark.parametrize("damage", [blank_at_its_end, blank_in_the_middle, blank])
def test_blank_bytes_that_a_current_note_claims_are_written_again(
    path: Path, damage: Damage
) -> None:
    add(path, BEFORE)
    one = Job(path, "one", lines_of("one", 300))
    interrupted(one, 4, 3)
    path.write_bytes(damage(path.read_bytes(), len(BEFORE)))
    one.complete()
    assert contents(path) == expected(one, others=[BEFORE])


def until_later(at: int) -> None:
    """The clock's next tick that can be told from ``at``."""
    import time

    while time.time_ns() - at < 2 * CLOCK_SECONDS * 1_000_000_000:
        pass


# What is synced before what


def test_a_note_is_synced_before_the_feed_has_a_byte(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    write = os.write

    def named(file: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{file}")).name

    def synced(file: int) -> None:
        done.append(f"sync {named(file)}")

    def written(file: int, chunk: bytes) -> int:
        done.append(f"write {named(file)}")
        return write(file, chunk)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "write", written)
    target = AppendedFile(path, "one", threaded, overwrite=False, fence=False)
    planned = target.planned(target.resume(FeedRecord("items", "00")))
    record = result_of(target.open(planned))
    target.write(b"one\n")
    folder, new = path.parent.name, NoteFile(path, "one")._new.name
    assert done == [f"sync {new}", f"sync {folder}", f"write {path.name}"]
    target.write(b"two\n")
    assert done[3:] == [f"write {path.name}"]  # no commit of a running crawl waits for the disk
    result_of(target.deliver(replace(record), 0))
    target.rest()
    assert done[4:] == [f"sync {path.name}", f"sync {new}", f"sync {folder}"]


class Syncs:
    """The names of what is synced, and of what is renamed or truncated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        truncate, replaces = os.ftruncate, Path.replace

        def synced(file: int) -> None:
            self.done.append(f"sync {self._kind(Path(os.readlink(f'/proc/self/fd/{file}')))}")

        def truncated(file: int, size: int) -> None:
            self.done.append("truncate")
            truncate(file, size)

        def renamed(path: Path, target: Path) -> Path:
            self.done.append(f"rename {self._kind(path)}")
            return replaces(path, target)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "ftruncate", truncated)
        monkeypatch.setattr(Path, "replace", renamed)

    @staticmethod
    def _kind(path: Path) -> str:
        kinds = {".new": "note", ".copy": "copy", ".jsonl": "feed", ".part": "part"}
        return kinds.get(path.suffix, "folder")


NOTE = ["sync note", "rename note", "sync folder"]


def test_what_is_cut_off_is_synced_before_the_note_forgets_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Job(path, "one", lines_of("one"))
    interrupted(one, 2, 2)
    syncs = Syncs(monkeypatch)
    one.start()
    assert syncs.done == [*NOTE, "truncate", "sync feed", *NOTE]
    one.die()
    interrupted(one, 2, 2)
    add(path, b"theirs\n")
    syncs.done.clear()
    one.start()
    assert syncs.done == [*NOTE, "sync copy", "rename copy", "sync folder", *NOTE]


def test_what_is_overwritten_is_gone_for_good_before_the_note_says_that_the_job_has_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(path, BEFORE)
    one = Job(path, "one", lines_of("one"), overwrite=True)
    one.start()
    syncs = Syncs(monkeypatch)
    one.write(1)
    assert syncs.done == ["truncate", "sync feed", *NOTE]


def test_a_placed_file_is_synced_between_two_notes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Job(path, "one", lines_of("one"), placed=True)
    one.start()
    one.write(3)
    syncs = Syncs(monkeypatch)
    assert one.record is not None
    result_of(one.target.deliver(one.record, 0))
    assert syncs.done == [*NOTE, "sync copy", "rename copy", "sync folder", *NOTE]


def test_a_file_that_a_command_has_written_keeps_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch)
    call: Any = SimpleNamespace(arguments=SimpleNamespace(overwrite=False))
    with output_file(call, str(path.with_name("new") / "items.jsonl")) as file:
        file.write(b"one")
    assert syncs.done == ["sync folder", "sync feed", "rename feed", "sync folder"]


def test_directories_that_are_made_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}"))
    )
    disk.make_directories(tmp_path / "a" / "b")
    assert sorted(synced) == [str(tmp_path), str(tmp_path / "a")]
    synced.clear()
    disk.make_directories(tmp_path / "a" / "b")
    assert synced == []


assert LINES == 12
