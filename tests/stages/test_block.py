"""The block of a stage: how it begins, what it refuses, and the status that it leaves."""

from __future__ import annotations

import asyncio
import gzip
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import Stage, open_store
from scrapy_resume.errors import (
    ConfigurationError,
    FeedNotStoredError,
    InputChangedError,
    JobLockedError,
    JobNotFoundError,
    StoreError,
)
from tests.stages.processes import numbers
from tests.support.stages import in_thread, run_async

if TYPE_CHECKING:
    from pathlib import Path


async def number(value: int) -> dict[str, int]:
    await asyncio.sleep(0)
    return {"number": value}


def job(store: Path, name: str = "work") -> dict[str, Any]:
    document: dict[str, Any] = open_store(store).job(name)
    return document


def run(store: Path, count: int = 5, function: Any = number, **options: Any) -> Stage:
    async def main() -> Stage:
        async with Stage("work", store=store, **options) as stage:
            await stage.map(function, range(count), retry_delay=0)
        return stage

    return run_async(main)


def test_importing_a_stage_imports_no_reactor_and_no_engine(tmp_path: Path) -> None:
    program = f"""
import sys
from scrapy_resume import Fail, Retry, Skip, Stage
def forbidden():
    return [name for name in ("twisted.internet.reactor", "scrapy.core.engine", "scrapy.crawler",
            "scrapy.core.downloader") if name in sys.modules]
assert not forbidden(), forbidden()
with Stage("work", store={str(tmp_path)!r}) as stage:
    stage.map(lambda number: {{"number": number}}, range(3))
assert stage.status == "completed"
assert not forbidden(), forbidden()
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_an_error_that_leaves_the_block_makes_the_job_failed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("work", store=tmp_path) as stage:
            await stage.map(number, range(3))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_async(main)
    document = job(tmp_path)
    assert (document["status"], document["reason"]) == ("failed", "stage_error")
    assert (document["error"]["class"], document["requests"]["done"]) == ("KeyError", 3)
    assert run(tmp_path).status == "completed"
    assert job(tmp_path)["number"] == 1


def test_a_cancelled_block_pauses_and_gives_its_tasks_back(tmp_path: Path) -> None:
    begun = []

    async def waits(value: int) -> None:
        begun.append(value)
        await asyncio.Event().wait()

    async def block() -> None:
        async with Stage("work", store=tmp_path) as stage:
            await stage.map(waits, range(20), concurrency=4, name="number")

    async def main() -> None:
        task = asyncio.ensure_future(block())
        while len(begun) < 4:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(main)
    document = job(tmp_path)
    assert (document["status"], document["reason"]) == ("paused", "shutdown")
    assert document["requests"]["pending"] == document["requests"]["total"] == 20
    assert {row["attempts"] for row in open_store(tmp_path).requests("work")} == {0}
    assert run(tmp_path, 20).status == "completed"


def test_a_second_process_is_refused_and_may_take_over_by_force(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("work", store=tmp_path) as first:
            await first.done("a", {"number": 1})
            await first.flush()
            with pytest.raises(JobLockedError):
                async with Stage("work", store=tmp_path):
                    pass
            async with Stage("work", store=tmp_path, force=True) as second:
                await second.done("b", {"number": 2})
            assert second.status == "completed"
            await first.done("c", {"number": 3})

    with pytest.raises(StoreError):
        run_async(main)
    assert sorted(item["number"] for item in open_store(tmp_path).items("work")) == [1, 2]


def test_changed_input_files_are_refused_warned_of_or_begin_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, store = tmp_path / "in.txt", tmp_path / "store"
    file.write_text("a")

    async def stops(value: int) -> None:
        raise RuntimeError("stop")

    async def interrupted() -> None:
        async with Stage("work", store=store, input_files=file) as stage:
            async for _ in stage.remaining(range(3), name="number"):
                break

    run_async(interrupted)
    file.write_text("b")
    with pytest.raises(InputChangedError, match=r"in\.txt changed since"):
        run(store, input_files=[str(file)])
    assert job(store)["status"] == "paused"
    run(store, input_files=[file], on_input_change="warn")
    assert (job(store)["number"], job(store)["status"]) == (1, "completed")
    assert "changed since" in caplog.text
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run(store, input_files=[tmp_path / "missing"])


def test_a_crawl_and_a_stage_never_open_the_job_of_the_other(tmp_path: Path) -> None:
    from scrapy_resume.run.open_job import Candidate, open_job
    from scrapy_resume.settings.parse import parse_settings
    from scrapy_resume.store import open_location

    def crawl(name: str) -> None:
        from scrapy.settings import BaseSettings

        settings = parse_settings(BaseSettings({"RESUME_STORE": str(tmp_path)}))
        candidate = Candidate(name, "books", {}, settings, launch={"command": "crawl"})
        open_job(open_location(tmp_path), candidate).abandon()

    run(tmp_path)
    with pytest.raises(ConfigurationError, match=r"work#1 is a stage's job, which no spider"):
        crawl("work")
    crawl("books")

    async def main() -> None:
        async with Stage("books", store=tmp_path):
            pass

    with pytest.raises(ConfigurationError, match=r"books#1 is a crawl's job, which no stage"):
        run_async(main)
    assert [one["job"] for one in open_store(tmp_path).jobs()] == ["books", "work"]
    assert {one["kind"] for one in open_store(tmp_path).jobs()} == {"crawl", "stage"}


def test_modes_are_those_of_a_crawl(tmp_path: Path) -> None:
    calls = []

    async def counted(value: int) -> None:
        calls.append(value)

    with pytest.raises(JobNotFoundError):
        run(tmp_path, mode="resume")
    run(tmp_path, function=counted)
    assert run(tmp_path, function=counted, mode="once").status == "completed"
    assert (len(calls), job(tmp_path)["number"]) == (5, 1)
    run(tmp_path, function=counted)
    assert job(tmp_path)["number"] == 2
    run(tmp_path, function=counted, mode="fresh")
    assert job(tmp_path)["number"] == 3
    with pytest.raises(ConfigurationError, match="mode of stage"):
        run(tmp_path, mode="delta")


def test_a_completed_stage_that_is_not_begun_answers_all_calls(tmp_path: Path) -> None:
    run(tmp_path)

    async def main() -> None:
        async with Stage("work", store=tmp_path, mode="once") as stage:
            assert stage.stopping
            assert (await stage.map(number, range(9)))["done"] == 0
            assert [key async for key, _ in stage.remaining(range(9))] == []
            assert stage.should_skip(1)
            assert not await stage.done(1, {"n": 1})
            await stage.flush()

    run_async(main)
    with Stage("work", store=tmp_path, mode="once") as stage:
        assert stage.map(number, range(9))["known"] == 0
        assert list(stage.remaining(range(9))) == []
        assert not stage.done(2)
    assert job(tmp_path)["requests"]["total"] == 5


@pytest.mark.parametrize("kind", ["asyncio", "plain"])
def test_hooks_are_called_when_the_end_is_stored(tmp_path: Path, kind: str) -> None:
    calls: list[Any] = []

    class Watched(Stage):
        def on_success(self) -> None:
            calls.append(job(tmp_path)["status"])

        async def on_failure(self, error: BaseException) -> None:
            calls.append((job(tmp_path)["status"], repr(error)))

    def block(fails: bool) -> None:
        with Watched("work", store=tmp_path) as stage:
            stage.map(number, range(3))
            if fails:
                raise ValueError("x")

    async def main() -> None:
        async with Watched("work", store=tmp_path) as stage:
            await stage.map(number, range(3))
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        run_async(main) if kind == "asyncio" else in_thread(lambda: block(True))
    in_thread(lambda: block(False))
    assert calls == [("failed", "ValueError('x')"), "completed"]


def test_feeds_are_written_and_a_broken_one_is_told(tmp_path: Path) -> None:
    feed = tmp_path / "out.jsonl"
    run(tmp_path / "store", 20, feeds={feed: {"format": "jsonlines"}})
    assert sorted(numbers(feed)) == list(range(20))
    (tmp_path / "file").write_text("")
    bad = {str(tmp_path / "file" / "x.jsonl"): {"format": "jsonlines"}}
    with pytest.raises(FeedNotStoredError, match="could not be delivered"):
        run(tmp_path / "store", 20, feeds=bad)
    assert job(tmp_path / "store")["status"] == "paused"
    assert len(job(tmp_path / "store")["undelivered"]) == 1
    for wrong in ({"x.y": {"format": "unknown"}}, {"x": 5}):
        with pytest.raises(ConfigurationError, match="the feeds of stage"):
            run(tmp_path / "other", feeds=wrong)
    assert not (tmp_path / "other").exists()


def test_a_stage_in_a_stage_and_two_at_once(tmp_path: Path) -> None:
    async def inner(value: int) -> dict[str, int]:
        async with Stage(f"inner-{value}", store=tmp_path) as stage:
            await stage.map(number, range(3))
        return {"number": value}

    async def main() -> None:
        async with Stage("outer", store=tmp_path) as outer, Stage("other", store=tmp_path) as other:
            await asyncio.gather(outer.map(inner, range(3)), other.map(number, range(50)))

    run_async(main)
    assert {one["status"] for one in open_store(tmp_path).jobs()} == {"completed"}
    assert len(open_store(tmp_path).jobs()) == 5


def test_plain_stages_run_in_several_threads(tmp_path: Path) -> None:
    def work(name: str) -> None:
        with Stage(name, store=tmp_path) as stage:
            stage.map(lambda value: {"number": value}, range(30))

    threads = [threading.Thread(target=work, args=(f"work-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [one["status"] for one in open_store(tmp_path).jobs()] == ["completed"] * 4


def test_plain_code_within_a_running_loop(tmp_path: Path) -> None:
    """As in a notebook, whose cells run within a loop."""

    async def main() -> None:
        with Stage("work", store=tmp_path) as stage:
            assert stage.map(number, range(5))["done"] == 5

    run_async(main)


def test_stored_tasks_of_a_map_that_is_gone_are_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def interrupted() -> None:
        async with Stage("work", store=tmp_path) as stage:
            async for _ in stage.remaining(range(100, 103), name="old"):
                break
            await stage.flush()

    run_async(interrupted)
    assert run(tmp_path, 2).status == "paused"
    document = job(tmp_path)
    assert document["reason"] == "callback_missing"
    assert document["error"]["class"] == "CallbackMissingError"
    assert "'old' (3)" in document["error"]["message"]
    assert "map(…, name=…)" in caplog.text

    async def put_back() -> None:
        async with Stage("work", store=tmp_path) as stage:
            assert (await stage.map(number, (), name="old"))["done"] == 3

    run_async(put_back)
    assert job(tmp_path)["status"] == "completed"


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_a_map_that_was_renamed_does_the_open_keys_among_its_inputs(
    tmp_path: Path, request: pytest.FixtureRequest, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    sqlite = backend == "sqlite"
    store = tmp_path if sqlite else request.getfixturevalue("postgres_url")
    broken = True

    async def old(value: int) -> dict[str, int]:
        if broken and value > 2:
            raise ValueError("not yet")
        return {"number": value}

    run(store, 6, old)
    from scrapy_resume.model import JobKey, Selection, State
    from scrapy_resume.store import open_location

    key = JobKey("work", 1)
    assert open_location(store).steer(key, Selection((State.failed,)), State.pending) == 3
    assert run(store, 9).status == "completed"
    assert "does them" in caplog.text
    assert job(store)["requests"]["done"] == 9
    assert sorted(item["number"] for item in open_store(store).items("work#1")) == list(range(9))


@pytest.mark.parametrize("kind", ["asyncio", "plain", "thread"])
def test_a_task_that_exits_ends_the_program_and_comes_again(tmp_path: Path, kind: str) -> None:
    async def exits(value: int) -> None:
        if value == 3:
            sys.exit("enough")

    def exits_in_a_thread(value: int) -> None:
        if value == 3:
            sys.exit("enough")

    function = exits_in_a_thread if kind == "thread" else exits

    def plain() -> None:
        with Stage("work", store=tmp_path) as stage:
            stage.map(function, range(10), name="number")

    async def main() -> None:
        async with Stage("work", store=tmp_path) as stage:
            await stage.map(function, range(10), name="number")

    with pytest.raises(SystemExit, match="enough"):
        run_async(main) if kind == "asyncio" else in_thread(plain)
    assert job(tmp_path)["status"] == "paused"
    assert run(tmp_path, 10).status == "completed"
    assert job(tmp_path)["requests"]["done"] == 10


def test_retry_failed_does_nothing_else(tmp_path: Path) -> None:
    broken = True

    async def number(value: int) -> dict[str, int]:
        if broken and value == 1:
            raise ValueError("no")
        return {"number": value}

    run(tmp_path, 3, number)
    broken = False
    stage = run(tmp_path, 100, number, mode="retry-failed")
    assert stage.status == "completed"
    assert job(tmp_path)["requests"]["total"] == job(tmp_path)["requests"]["done"] == 3


def test_a_block_that_is_cancelled_while_it_begins_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scrapy_resume.stages.by_hand import ByHand

    async def cancelled(self: ByHand) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(ByHand, "begin", cancelled)
        with pytest.raises(asyncio.CancelledError):
            run(tmp_path)
    assert job(tmp_path)["status"] == "crashed"
    assert run(tmp_path).status == "completed"


def test_the_projects_settings_hold_for_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stage_logged.py").write_text(
        f"RESUME_STORE = {str(tmp_path / 'store')!r}\nRESUME_EVENT_LOG = True\n"
        "RESUME_BACKUP = 3600\nRESUME_MODE = 'delta'\nRESUME_JOB = 'other'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "stage_logged")

    async def main() -> None:
        async with Stage("work") as stage:
            await stage.map(number, range(7))

    run_async(main)
    assert open_store().job("work")["requests"]["done"] == 7  # of the project's store
    (log,) = (tmp_path / "store" / "events").glob("*.jsonl.gz")
    assert b'"run_started"' in gzip.decompress(log.read_bytes())
    from scrapy_resume.model import JobKey
    from scrapy_resume.store import open_location

    assert open_location(tmp_path / "store").copied_at(JobKey("work", 1)) is not None
    assert open_location(tmp_path / "store").undelivered_events(JobKey("work", 1)) == []


def test_keys_of_a_loop_that_the_program_has_no_more_are_held(tmp_path: Path) -> None:
    async def interrupted() -> None:
        async with Stage("work", store=tmp_path) as stage:
            async for _ in stage.remaining(range(100, 103)):
                break
            await stage.flush()

    run_async(interrupted)
    assert run(tmp_path, 2).status == "paused"
    assert job(tmp_path)["reason"] == "callback_missing"
    assert "'-' (3)" in job(tmp_path)["error"]["message"]


def test_a_store_that_is_out_when_the_block_ends_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scrapy_resume.errors import StoreUnavailableError
    from scrapy_resume.settings import table
    from scrapy_resume.store.sqlite.job import SqliteJob

    assert table.BY_NAME["RESUME_CLOSE_TIMEOUT"].default == 30
    out = False
    commit = SqliteJob.commit

    def committed(self: SqliteJob, batch: Any) -> Any:
        if out:
            raise StoreUnavailableError("the disk is gone")
        return commit(self, batch)

    monkeypatch.setattr(SqliteJob, "commit", committed)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = stage_settings\n")
    (tmp_path / "stage_settings.py").write_text("RESUME_CLOSE_TIMEOUT = 0.2\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "stage_settings")

    async def main() -> None:
        nonlocal out
        async with Stage("work", store=tmp_path / "store") as stage:
            await stage.map(number, range(3))
            out = True
            await stage.done("late", {"number": 9})

    with pytest.raises(StoreError, match="the disk is gone"):
        run_async(main)
    out = False
    assert run(tmp_path / "store").status == "completed"
    assert len(list(open_store(tmp_path / "store").items("work#1"))) == 5


def test_only_delayed_tasks_pause_the_stage_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from scrapy_resume import Retry

    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "stage_waits")
    (tmp_path / "stage_waits.py").write_text("RESUME_RETRY_WAIT = 0\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def later(value: int) -> None:
        raise Retry("busy", after=500)

    with caplog.at_level(logging.INFO):
        stage = run(tmp_path / "store", 2, later)
    assert stage.status == "paused"
    document = job(tmp_path / "store")
    assert (document["reason"], document["requests"]["delayed"]) == ("resume_later", 2)
