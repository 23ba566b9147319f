"""Stages whose inputs are the items of another job, which may not have all of them yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import Stage, open_store
from scrapy_resume.errors import ConfigurationError, InputChangedError
from tests.support.stages import in_thread, run_async

if TYPE_CHECKING:
    from pathlib import Path


def found(store: Path, count: int) -> str | None:
    """The job that the inputs come from, with the first ones of four done."""

    def block() -> Stage:
        with Stage("found", store=store) as stage:
            for done, (key, number) in enumerate(stage.remaining(range(4))):
                if done == count:
                    break
                stage.done(key, {"n": number})
        return stage

    return in_thread(block).status


def enriched(store: Path, kind: str) -> Stage:
    def more(item: Any) -> dict[str, int]:
        return {"n": item["n"], "more": 1}

    async def main() -> Stage:
        async with Stage("more", store=store) as stage:
            items = open_store(store).items("found")
            if kind == "map":
                await stage.map(more, items, key="n")
            else:
                async for key, item in stage.remaining(items, key="n"):
                    await stage.done(key, more(item))
        return stage

    def block() -> Stage:
        with Stage("more", store=store) as stage:
            items = open_store(store).items("found")
            if kind == "plain map":
                stage.map(more, items, key="n")
            else:
                for key, item in stage.remaining(items, key="n"):
                    stage.done(key, more(item))
        return stage

    made: Stage = in_thread(block) if kind.startswith("plain") else run_async(main)
    return made


@pytest.mark.parametrize("kind", ["map", "plain map", "by hand", "plain by hand"])
def test_it_is_not_completed_before_the_job_whose_items_it_reads(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert found(tmp_path, 2) == "paused"
    assert enriched(tmp_path, kind).status == "paused"
    (told,) = [one.getMessage() for one in caplog.records if "has read the items" in one.message]
    assert told.startswith("more#1 has read the items of found#1, which is paused")
    assert open_store(tmp_path).job("more")["reason"] == "finished"
    caplog.clear()
    assert found(tmp_path, 4) == "completed"
    assert enriched(tmp_path, kind).status == "completed"
    assert not caplog.records
    assert sorted(item["n"] for item in open_store(tmp_path).items("more#1")) == [0, 1, 2, 3]


@pytest.mark.parametrize("filters", [{}, {"limit": 3}])
def test_the_items_of_a_job_say_whether_more_may_follow(
    tmp_path: Path, filters: dict[str, int]
) -> None:
    found(tmp_path, 2)
    items = open_store(tmp_path).items("found", **filters)
    assert items.unfinished is None
    assert [item["n"] for item in items] == [0, 1]
    assert (items.job, items.unfinished) == ("found#1", "paused")
    found(tmp_path, 4)
    items = open_store(tmp_path).items("found", **filters)
    assert len(list(items)) == filters.get("limit", 4)
    assert items.unfinished is None


def test_a_job_that_ends_while_its_items_are_read_may_have_more(tmp_path: Path) -> None:
    found(tmp_path, 2)
    items = open_store(tmp_path).items("found")
    next(items)
    assert found(tmp_path, 4) == "completed"
    list(items)
    assert items.unfinished == "paused", "what came behind the last one that was read is not known"


def test_a_stage_that_is_passed_over_says_so_and_has_its_progress(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert found(tmp_path, 4) == "completed"
    capfd.readouterr()

    def block() -> dict[str, Any]:
        with Stage("found", store=tmp_path, mode="once") as stage:
            assert list(stage.remaining(range(4))) == []
            progress: dict[str, Any] = stage.progress()
            return progress

    assert in_thread(block)["status"] == "completed"
    assert "scrapy-resume: found#1 is completed" in capfd.readouterr().err


def test_a_key_that_is_none_names_its_input(tmp_path: Path) -> None:
    def block() -> None:
        with Stage("work", store=tmp_path) as stage:
            stage.map(lambda row: row, [{"u": 1}, {"u": None, "name": "x"}], key="u")

    with pytest.raises(ConfigurationError, match=r"the input \{'u': None, 'name': 'x'\}: a task's"):
        in_thread(block)


def test_a_changed_input_names_the_parameters_of_a_stage(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"

    def block(**more: Any) -> str | None:
        file.write_text(file.read_text() + "x" if file.exists() else "x")
        with Stage("work", store=tmp_path / "store", input_files=file, **more) as stage:
            for _ in stage.remaining(range(3)):
                break
        return stage.status

    assert in_thread(block) == "paused"
    with pytest.raises(InputChangedError) as refused:
        in_thread(block)
    assert 'mode="fresh", or go on all the same with on_input_change="warn"' in str(refused.value)
    assert in_thread(lambda: block(on_input_change="warn")) == "paused"
    file.unlink()
    with (
        pytest.raises(InputChangedError, match='mode="fresh"'),
        Stage("work", store=tmp_path / "store", input_files=file),
    ):
        pass
