"""A job in a file: a consistent copy of a live one, whole or not there, never over another job."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from scrapy_resume.errors import (
    ConfigurationError,
    JobExistsError,
    JobNotFoundError,
    StoreDamagedError,
    StoreUnavailableError,
)
from scrapy_resume.model import JobKey, Kind, Phase, State, StepState
from scrapy_resume.store.contract import (
    FeedNote,
    HostNote,
    ItemChange,
    ItemRecord,
    NewStep,
    StepAttempt,
    StepWish,
)

from .conftest import Place
from .records import BOOKS, Run, admission, continuation, finish, tombstone


def rich_job(place: Place) -> Run:
    """A live job with a bit of everything."""
    run = place.begin(
        worker="host:9",
        arguments={"page": "ö\t1\\n"},
        metadata={"a": [1]},
        launch={"command": "crawl"},
    )
    run.admit(
        *(admission(row, lease=True, slot=f"slot{row % 3}") for row in range(1, 7)),
        admission(7, unit="cities\t\\", priority=-3, not_before=4e9),
        admission(8, every_run=True),
    )
    run.admit(continuation(1, "moved"))
    run.commit(
        finishes=[
            finish(1, ['{"a": "x\\ty"}', '{"b": "\\\\."}'], http_status=200),
            finish(2, state=State.failed, error="E", error_message="a\nb\tc\\", attempts=3),
            finish(3, state=State.ignored, error="HttpError", http_status=404),
            finish(4, [ItemRecord(0, "{}", "key")]),
            tombstone(9, ["{}"], kind=Kind.start_item),
        ],
        spider_state='{"a": 1}',
        cookies={"jar": "[]"},
        feeds=[FeedNote("out.csv", 1, '{"through": 3}', False)],
        hosts=[HostNote("slot1", "{}")],
        start_exhausted=True,
    )
    run.commit(spills=[(5, ItemRecord(0, '{"spilled": 1}'))], pages=4)
    run.job.mark(5, Phase.answered)
    return run


def told(place: Place, key: JobKey = BOOKS) -> dict[str, Any]:
    """All that the read side tells of a job."""
    summary = place.reader.summary(key)
    return {
        "summary": (summary.spider, summary.arguments, summary.metadata, summary.launch),
        "times": (summary.created_at, summary.completed_at, summary.start_exhausted),
        "counts": asdict(summary.counts),
        "rows": place.rows(key),
        "items": place.items(key),
        "ids": place.item_ids(key),
    }


def test_a_live_job_is_copied_and_put_back_as_it_was(place: Place, tmp_path: Path) -> None:
    run = rich_job(place)
    file = tmp_path / "books.backup"
    place.store.backup(BOOKS, file)
    assert file.stat().st_mode & 0o777 == 0o600
    before = told(place)
    # The crawl goes on, ends, and is deleted: the copy is of the moment.
    run.commit(finishes=[finish(5), finish(6)])
    run.close()
    place.store.delete(BOOKS)
    other = place.begin(JobKey("quotes", 1))
    other.finish(tombstone(1, ["{}"], slot="slot1", unit="cities\t\\"))
    assert place.store.restore(file) == BOOKS
    after = told(place)
    summary = place.reader.summary(BOOKS)
    assert (summary.status, summary.reason, summary.alive) == ("paused", "recovered", False)
    counts, rows = before.pop("counts"), before.pop("rows")
    assert after.pop("counts") == {
        **counts,
        "pending": counts["pending"] + counts["leased"],
        "leased": 0,
    }
    for row in after["rows"].values():
        row.pop("updated_at")
    expected = {
        name: {**row, "state": "pending" if row["state"] == "leased" else row["state"]}
        for name, row in rows.items()
    }
    for row in expected.values():
        row.update(worker=None, leased_at=None)
        row.pop("updated_at")
    assert after.pop("rows") == expected, "nobody died, so no crash is counted"
    assert after == before
    assert place.store.verify(BOOKS).violations == []
    assert place.store.verify(JobKey("quotes", 1)).violations == []


def test_a_restored_job_goes_on(place: Place, tmp_path: Path) -> None:
    rich_job(place).die()
    file = tmp_path / "books.backup"
    place.store.backup(BOOKS, file)
    ids = place.item_ids(BOOKS)
    place.store.delete(BOOKS)
    place.store.restore(file)
    run = place.resume()
    session = run.session
    assert (session.state.spider_state, session.state.cookies) == ('{"a": 1}', {"jar": "[]"})
    assert [note.feed for note in session.feeds] == ["out.csv"]
    assert (session.progress.pages, session.run, session.start.exhausted) == (4, 2, True)
    answer = run.admit(
        admission(session.ids.first, 1), admission(session.ids.first + 4096, "moved")
    )
    assert len(answer.duplicates) == 2, "what was known is known"
    leased = [*run.lease(9, "slot2"), *run.lease(9, "slot0")]
    assert sorted(row.id for row in leased) == [5, 6]
    run.commit(finishes=[finish(5, ['{"new": 1}']), finish(6)])
    assert place.item_ids(BOOKS)[-1] > max(ids), "ids of items are never used twice"
    assert run.commit().counts.items_stored == 5
    assert place.store.verify(BOOKS).violations == []


def test_steps_of_items_are_copied_and_go_on(place: Place, tmp_path: Path) -> None:
    run = place.begin()
    pending = [NewStep("vin", StepState.pending)]
    records = [ItemRecord(n, f"{n}", steps=pending, stable_key=f"item {n}") for n in range(4)]
    run.admit(admission(1, lease=True, unit="oslo"))
    run.finish(finish(1, records))
    limit = {"rate_count": 3, "rate_seconds": 3600.0}
    wish = StepWish("vin", 9, **limit)  # type: ignore[arg-type]
    first, second, _ = run.commit(wishes_of_steps=[wish]).steps.leased
    ends = [
        StepAttempt("vin", StepState.done, 1, version="2", inputs="x", gave=["vin"]),
        StepAttempt("vin", StepState.pending, 1, 4e9, "OSError", "down"),
    ]
    run.commit(
        changes=[
            ItemChange(leased.item, leased.version, [end], payload=payload)
            for leased, end, payload in zip((first, second), ends, ('{"a": 1}', None), strict=True)
        ]
    )
    place.store.backup(BOOKS, tmp_path / "books.backup")
    run.die()
    place.store.delete(BOOKS)
    place.store.restore(tmp_path / "books.backup")
    assert place.store.verify(BOOKS).violations == []
    run = place.resume()
    counts = run.session.steps.counts["vin"]
    assert (counts.pending, counts.running, counts.done) == (3, 0, 1)
    assert (run.session.steps.delayed, run.session.counts.steps_open) == (1, 3)
    assert place.items() == ['{"a": 1}']
    answer = run.commit(wishes_of_steps=[wish]).steps
    assert answer.leased == [], "what was used counts on"
    leased = run.commit(wishes_of_steps=[StepWish("vin", 9)]).steps.leased
    assert [(one.key, one.attempts, one.crashes) for one in leased] == [
        ("item 2", 0, 0),
        ("item 3", 0, 0),
    ]
    run.admit(admission(run.next_id, 2, lease=True))
    run.finish(finish(run.next_id - 1, records[:1]))
    (new,) = run.commit(wishes_of_steps=[StepWish("vin", 9)]).steps.leased
    assert new.item > max(one.item for one in leased), "ids are never used twice"
    assert place.store.verify(BOOKS).violations == []


def test_a_job_is_never_restored_over_another(place: Place, tmp_path: Path) -> None:
    run = place.begin()
    file = tmp_path / "books.backup"
    place.store.backup(BOOKS, file)
    run.finish(tombstone(1, ["{}"]))
    with pytest.raises(JobExistsError, match="scrapy resume reset"):
        place.store.restore(file)
    assert run.finish(tombstone(2, ["{}"])).counts.done == 2
    assert place.items() == ["{}", "{}"]


def test_an_existing_file_is_not_written_over(place: Place, tmp_path: Path) -> None:
    place.begin()
    file = tmp_path / "books.backup"
    file.write_text("mine")
    with pytest.raises((OSError, ConfigurationError)):
        place.store.backup(BOOKS, file)
    assert file.read_text() == "mine"


def test_no_copy_is_made_of_what_is_not_there(place: Place, tmp_path: Path) -> None:
    place.begin()
    with pytest.raises(JobNotFoundError):
        place.store.backup(JobKey("quotes", 1), tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("kept", [0, 1, 10, 0.5, 0.9, -1])
def test_a_file_that_was_cut_is_not_restored(place: Place, tmp_path: Path, kept: float) -> None:
    run = rich_job(place)
    file = tmp_path / "books.backup"
    place.store.backup(BOOKS, file)
    run.close()
    place.store.delete(BOOKS)
    size = file.stat().st_size
    os.truncate(file, int(size * kept) if 0 < kept < 1 else int(kept) % size)
    with pytest.raises(StoreDamagedError):
        place.store.restore(file)
    assert place.store.jobs() == []
    assert place.begin().session.began


def test_a_file_of_another_kind_is_not_restored(place: Place, tmp_path: Path) -> None:
    place.begin().close()
    note = tmp_path / "notes.txt"
    note.write_text("x" * 2_000)
    with pytest.raises(StoreDamagedError):
        place.store.restore(note)


def test_the_file_of_another_store_says_which_it_is(
    exclusive_place: Place, shared_place: Place, tmp_path: Path
) -> None:
    for place, other in ((exclusive_place, shared_place), (shared_place, exclusive_place)):
        place.begin(JobKey("quotes", 1))
        file = tmp_path / f"{type(place.store).__name__}.backup"
        place.store.backup(JobKey("quotes", 1), file)
        with pytest.raises(ConfigurationError, match="RESUME_STORE="):
            other.store.restore(file)


def test_a_copy_is_of_one_moment(place: Place, tmp_path: Path) -> None:
    """Beside a crawl that commits all the time, every copy is whole in itself."""
    run = place.begin()
    ended = threading.Event()

    def crawl() -> None:
        row = 0
        while not ended.is_set():
            row += 1
            run.commit(finishes=[tombstone(row, ["{}"] * 3)])

    thread = threading.Thread(target=crawl)
    thread.start()
    store = place.another_store()
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        store.backup(BOOKS, file)
        assert store.verify(BOOKS).violations == []
    ended.set()
    thread.join()
    run.close()
    for file in files:
        store.delete(BOOKS)
        store.restore(file)
        counts = place.reader.summary(BOOKS).counts
        assert counts.items_stored == 3 * counts.done == len(place.items())
        assert store.verify(BOOKS).violations == []


def foreign_files(folder: Path) -> list[Path]:
    """Files that no store has written as a backup."""
    text, empty, random, database = (
        folder / name for name in ("notes.txt", "empty", "random.bin", "other.sqlite3")
    )
    text.write_text("hello")
    empty.touch()
    random.write_bytes(bytes(range(1, 256)) * 300)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE book (title TEXT)")
    return [text, empty, random, database]


def test_a_file_that_is_no_backup_is_refused_by_what_it_is(place: Place, tmp_path: Path) -> None:
    for file in foreign_files(tmp_path):
        with pytest.raises((StoreDamagedError, ConfigurationError)) as refused:
            place.store.restore(file)
        said = str(refused.value)
        assert said.startswith(f"{file} ")
        for misleading in ("cut off", "move it", "Restore the file"):
            assert misleading not in said
        assert "scrapy resume backup" in said or "RESUME_STORE=DIRECTORY" in said
    assert place.store.jobs() == []


def test_a_backup_that_cannot_be_read_is_named(exclusive_place: Place, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"nowhere cannot be read: No such file"):
        exclusive_place.store.restore(tmp_path / "nowhere")
