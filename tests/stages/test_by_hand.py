"""``remaining``, ``should_skip``, ``done``, ``fail``, ``skip``, ``flush``: a loop of one's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import Stage, open_store
from scrapy_resume.errors import ConfigurationError
from tests.support.stages import in_thread, run_async

if TYPE_CHECKING:
    from pathlib import Path


def rows(store: Path) -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in open_store(store).requests("hand")}


@pytest.mark.parametrize("kind", ["asyncio", "plain"])
def test_a_loop_goes_on_with_what_has_no_end(tmp_path: Path, kind: str) -> None:
    async def in_asyncio(stop_at: int) -> list[int]:
        seen = []
        async with Stage("hand", store=tmp_path) as stage:
            async for key, given in stage.remaining(range(30)):
                assert key == given
                seen.append(key)
                if len(seen) == stop_at:
                    break
                if key % 10 == 3:
                    await stage.fail(key, ValueError("three"))
                elif key % 10 == 4:
                    await stage.skip(key, "four")
                else:
                    await stage.done(key, {"number": key})
        return seen

    def in_plain_code(stop_at: int) -> list[int]:
        seen = []
        with Stage("hand", store=tmp_path) as stage:
            for key, given in stage.remaining(range(30)):
                assert key == given
                seen.append(key)
                if len(seen) == stop_at:
                    break
                if key % 10 == 3:
                    stage.fail(key, ValueError("three"))
                elif key % 10 == 4:
                    stage.skip(key, "four")
                else:
                    stage.done(key, {"number": key})
        return seen

    def run(stop_at: int) -> list[int]:
        if kind == "plain":
            return in_thread(lambda: in_plain_code(stop_at))
        return run_async(lambda: in_asyncio(stop_at))

    first = run(13)
    document = open_store(tmp_path).job("hand")
    assert (document["status"], document["reason"]) == ("paused", "finished")
    second = run(-1)
    assert first[-1] in second
    assert sorted({*first, *second}) == list(range(30))
    assert len(first) + len(second) == 31
    assert open_store(tmp_path).job("hand")["status"] == "completed"
    assert len(list(open_store(tmp_path).items("hand"))) == 24
    assert rows(tmp_path)["13"]["error_message"] == "three"
    assert rows(tmp_path)["14"]["error_message"] == "four"


def test_a_checkpoint_loop_asks_what_to_skip(tmp_path: Path) -> None:
    def loop(broken: int | None) -> list[str]:
        called = []
        with Stage("hand", store=tmp_path) as stage:
            for name in ("a", "b", "c"):
                if stage.should_skip(name):
                    continue
                called.append(name)
                if name == broken:
                    stage.fail(name, "it broke")
                else:
                    stage.done(name, [{"name": name}, {"name": name}])
                assert stage.should_skip(name)
        return called

    assert in_thread(lambda: loop("b")) == ["a", "b", "c"]
    assert open_store(tmp_path).job("hand#1")["requests"]["failed"] == 1
    from scrapy_resume.model import JobKey, Selection, State
    from scrapy_resume.store import open_location

    store = open_location(tmp_path)
    assert store.steer(JobKey("hand", 1), Selection((State.failed,)), State.pending) == 1
    # What a command has opened again is done by the same loop, which never yields keys.
    assert in_thread(lambda: loop(None)) == ["b"]
    document = open_store(tmp_path).job("hand")
    assert (document["number"], document["status"]) == (1, "completed")
    assert document["requests"]["done"] == 3
    assert len(list(open_store(tmp_path).items("hand"))) == 6


def test_in_asyncio_should_skip_may_be_awaited(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("hand", store=tmp_path) as stage:
            assert not stage.should_skip("a")
            assert await stage.done("a", {"a": 1})
            assert stage.should_skip("a")
            await stage.flush()
            assert await stage.should_skip("a") is True
            assert await stage.should_skip("b") is False

    run_async(main)


def test_done_of_a_key_that_was_never_yielded_is_stored_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Stage("hand", store=tmp_path) as stage:
            assert await stage.done("new", {"n": 1})
            assert not await stage.done("new", {"n": 2})
            await stage.flush()
            assert not await stage.fail("new", "too late")

    with caplog.at_level(logging.WARNING):
        run_async(main)
    assert list(open_store(tmp_path).items("hand")) == [{"n": 1}]
    assert sum("has an end already" in record.message for record in caplog.records) == 1


def test_what_no_end_was_told_of_is_named_and_comes_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def loop(forgets: bool) -> list[int]:
        with Stage("hand", store=tmp_path) as stage:
            seen = []
            for key, _ in stage.remaining(range(5)):
                seen.append(key)
                if not (forgets and key == 2):
                    stage.done(key)
        return seen

    in_thread(lambda: loop(True))
    assert "1 key was yielded, and neither done(), fail() nor skip() was told of it: '2'" in (
        caplog.text
    )
    assert open_store(tmp_path).job("hand")["status"] == "paused"
    assert in_thread(lambda: loop(False)) == [2]
    assert open_store(tmp_path).job("hand")["status"] == "completed"


def test_a_loop_that_becomes_a_map_goes_on(tmp_path: Path) -> None:
    def loop() -> None:
        with Stage("hand", store=tmp_path) as stage:
            for key, _ in stage.remaining(range(20)):
                if key == 5:
                    break
                stage.done(key, {"number": key})

    def mapped() -> str | None:
        with Stage("hand", store=tmp_path) as stage:
            stage.map(lambda number: {"number": number}, range(30), name="mapped")
        return stage.status

    in_thread(loop)
    assert in_thread(mapped) == "completed"
    found = [item["number"] for item in open_store(tmp_path).items("hand#1")]
    assert sorted(found) == list(range(30))


def test_flush_returns_when_all_is_committed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("hand", store=tmp_path) as stage:
            for number in range(20):
                await stage.done(number, {"number": number})
            await stage.flush()
            assert len(list(open_store(tmp_path).items("hand"))) == 20
            assert stage.progress()["requests"]["done"] == 20

    run_async(main)


def test_progress_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with Stage("hand", store=tmp_path, total=4) as stage:
            await stage.done("a")
            await stage.flush()
            stage.print_progress()

    run_async(main)
    assert capsys.readouterr().out.startswith("25.0% (1/4) | success 100.0%")
    assert open_store(tmp_path).job("hand")["expected_total"] == 4


def test_progress_lines_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Stage("hand", store=tmp_path, progress_every=10) as stage:
            for number in range(25):
                await stage.done(number)
            await stage.flush()
            assert (await stage.progress())["requests"]["done"] == 25

    with caplog.at_level(logging.INFO, "scrapy_resume"):
        run_async(main)
    lines = [record.message for record in caplog.records]
    assert any(line.startswith("Job hand#1 begins, run 1") for line in lines)
    assert any(line.startswith("100.0% (25/25) | success 100.0%") for line in lines)
    assert any(line.startswith("Job hand#1 is completed (finished): 25 done") for line in lines)


def test_metadata_is_kept_over_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def run(change: dict[str, Any], **options: Any) -> dict[str, Any]:
        async def main() -> dict[str, Any]:
            async with Stage("hand", store=tmp_path, **options) as stage:
                found = dict(stage.metadata)
                stage.metadata.update(change)
                async for _ in stage.remaining(["a"]):
                    break
                await stage.flush()
                return found

        return run_async(main)

    assert run({"model": 3}, metadata={"by": "me"}) == {"by": "me"}
    assert run({}) == {"by": "me", "model": 3}
    assert open_store(tmp_path).job("hand")["metadata"] == {"by": "me", "model": 3}
    run({"bad": object()})
    assert "stage.metadata cannot be stored" in caplog.text


def test_outside_of_its_block_a_stage_is_no_use(tmp_path: Path) -> None:
    stage = Stage("hand", store=tmp_path)
    for use in (
        lambda: stage.map(print, []),
        lambda: stage.done("a"),
        lambda: stage.remaining([]),
        lambda: stage.should_skip("a"),
        stage.flush,
    ):
        with pytest.raises(ConfigurationError, match="outside of its block"):
            use()
    with stage:
        pass
    with pytest.raises(ConfigurationError, match="was begun before"):
        stage.__enter__()
    assert stage.status == "completed"
