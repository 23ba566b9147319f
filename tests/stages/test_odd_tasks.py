"""Keys, inputs, results and surroundings that are not as a stage would have them."""

from __future__ import annotations

import logging
import os
import threading
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import Stage, open_store
from scrapy_resume.errors import ConfigurationError
from scrapy_resume.stages.outcomes import Fail
from tests.support.small_disks import fill, make_room, small_disk
from tests.support.stages import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def job(store: Path, name: str = "work") -> dict[str, Any]:
    document: dict[str, Any] = open_store(store).job(name)
    return document


def run(store: Path, inputs: Any, function: Callable[[Any], Any], **options: Any) -> dict[str, int]:
    """The counts of one run, in plain code."""

    def main() -> dict[str, int]:
        with Stage("work", store=store, mode="auto") as stage:
            counts: dict[str, int] = stage.map(
                function, inputs, name="work", retry_delay=0, **options
            )
        return counts

    return in_thread(main)


def nothing(_: object) -> None:
    """A task of no work."""


def test_keys_need_no_hash_and_are_what_they_look_like_to_a_computer(tmp_path: Path) -> None:
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    keys = [[1, 2], [2, 1], {"a": 1, "b": 2}, True, False, composed, decomposed, b"x", "x", 1, "1"]
    again = [{"b": 2, "a": 1}, 1.0]  # of a dict and a number that are there
    rows = [{"key": key} for key in (*keys, *again)]
    assert run(tmp_path, rows, nothing, key="key")["done"] == len(keys)
    assert job(tmp_path)["requests"]["total"] == len(keys)


def test_a_huge_key_is_a_key(tmp_path: Path) -> None:
    huge = "k" * 10_000_000
    seen = []

    def fails_once(key: str) -> None:
        seen.append(key)
        if len(seen) == 1:
            raise ConnectionError("again, from the store")

    assert run(tmp_path, [huge], fails_once)["done"] == 1
    assert seen == [huge] * 2


@pytest.mark.parametrize("key", [None, float("nan")])
def test_no_key_at_all_is_an_error_and_does_not_cost_the_rest(tmp_path: Path, key: object) -> None:
    rows = [{"key": f"good {number}"} for number in range(60)]
    with pytest.raises(ConfigurationError, match="every task needs a key"):
        run(tmp_path, [*rows, {"key": key}], nothing, key="key")
    assert job(tmp_path)["status"] == "failed"
    assert run(tmp_path, rows, nothing, key="key")["failed"] == 0
    assert job(tmp_path)["requests"]["done"] == 60


def test_inputs_may_shrink_and_grow_between_runs(tmp_path: Path) -> None:
    begun: list[int] = []

    def works(number: int) -> dict[str, int]:
        if number == 5 and not any(value == 5 for value in begun):
            begun.append(number)
            raise SystemExit("ended in its first run")
        begun.append(number)
        return {"number": number}

    with pytest.raises(SystemExit):
        run(tmp_path, range(10), works, concurrency=1)
    assert begun == [0, 1, 2, 3, 4, 5]
    # 5 to 9 are stored with their inputs: they are done although they are no inputs any more.
    counts = run(tmp_path, [0, 1, 20], works, concurrency=1)
    assert (counts["known"], job(tmp_path)["status"]) == (2, "completed")
    assert sorted(set(begun)) == [*range(10), 20]
    assert len(begun) == 12  # 5 twice
    assert {item["number"] for item in open_store(tmp_path).items("work")} == {*range(10), 20}


def test_what_a_task_gave_before_it_failed_is_dropped(tmp_path: Path) -> None:
    attempts = []

    def gives(number: int) -> Iterator[dict[str, int]]:
        attempts.append(number)
        yield {"number": number, "attempt": len(attempts)}
        if len(attempts) < 3:
            raise ConnectionError("after an item")
        if number == 2:
            raise Fail("for good")

    assert run(tmp_path, [1], gives)["done"] == 1
    run(tmp_path, [2], gives)
    assert list(open_store(tmp_path).items("work#1")) == [{"number": 1, "attempt": 3}]
    assert list(open_store(tmp_path).items("work#2")) == []
    assert job(tmp_path)["requests"]["failed"] == 1


def test_an_input_that_blocks_does_not_hold_up_what_was_read(tmp_path: Path) -> None:
    done, released = threading.Event(), threading.Event()

    def inputs() -> Iterator[int]:
        yield 1
        assert done.wait(30)  # the task runs while the generator waits for it
        yield 2
        released.set()

    def works(number: int) -> None:
        if number == 1:
            done.set()

    assert run(tmp_path, inputs(), works)["done"] == 2
    assert released.is_set()


def test_ctrl_c_within_a_thread_ends_the_program_and_the_task_comes_again(tmp_path: Path) -> None:
    def interrupted(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, range(6), interrupted)
    assert (job(tmp_path)["status"], job(tmp_path)["reason"]) == ("paused", "shutdown")
    run(tmp_path, range(6), nothing)
    assert job(tmp_path)["requests"]["done"] == 6


def test_a_task_may_fork(tmp_path: Path) -> None:
    def forks(number: int) -> dict[str, int]:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(number * 2).encode())
            os._exit(0)
        with os.fdopen(reading) as file:
            os.close(writing)
            text = file.read()
        os.waitpid(child, 0)
        return {"number": int(text)}

    assert run(tmp_path, range(5), forks)["done"] == 5
    assert {item["number"] for item in open_store(tmp_path).items("work")} == {0, 2, 4, 6, 8}
    assert open_store(tmp_path).job("work")["status"] == "completed"


def test_a_stage_within_a_task_of_a_stage(tmp_path: Path) -> None:
    def nested(number: int) -> dict[str, int]:
        with Stage(f"inner-{number}", store=tmp_path) as stage:
            counts = stage.map(nothing, range(3), name="inner")
        return {"done": counts["done"]}

    assert run(tmp_path, range(2), nested)["done"] == 2
    assert [item["done"] for item in open_store(tmp_path).items("work")] == [3, 3]
    assert {one["job"] for one in open_store(tmp_path).jobs()} == {"work", "inner-0", "inner-1"}


class RoomMaker(logging.Handler):
    """Makes room on the disk as soon as the log says that it is full."""

    def __init__(self, disk: Path) -> None:
        super().__init__()
        self.disk = disk
        self.told = False

    def emit(self, record: logging.LogRecord) -> None:
        if "the disk is full" in record.getMessage() and not self.told:
            self.told = True
            make_room(self.disk)


def test_a_full_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        store, count, maker = disk / "store", 60, RoomMaker(disk)

        def gives(number: int) -> dict[str, Any]:
            if number == 20:
                fill(disk)
            return {"number": number, "text": "x" * 20_000}

        logger = logging.getLogger("scrapy_resume")
        logger.addHandler(maker)
        try:
            assert run(store, range(count), gives)["done"] == count
        finally:
            logger.removeHandler(maker)
        assert maker.told
        numbers = [item["number"] for item in open_store(store).items("work")]
        assert sorted(numbers) == list(range(count))
        assert job(store)["status"] == "completed"
