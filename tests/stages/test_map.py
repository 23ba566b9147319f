"""``Stage.map``: what becomes of tasks, their results and their errors."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import Fail, Retry, Skip, Stage, open_store
from scrapy_resume.errors import ConfigurationError, NotRecordableError
from tests.support.stages import run_async

if TYPE_CHECKING:
    from pathlib import Path


def run(store: Path, function: Any, inputs: Any, **options: Any) -> dict[str, int]:
    """One run in asyncio of a stage that maps; the counts."""
    stage_options = {
        name: options.pop(name) for name in ("mode", "item_key", "feeds") if name in options
    }

    async def main() -> dict[str, int]:
        async with Stage("work", store=store, **stage_options) as stage:
            counts: dict[str, int] = await stage.map(function, inputs, **options)
            return counts

    return run_async(main)


def items(store: Path) -> list[Any]:
    return list(open_store(store).items("work"))


def status(store: Path) -> dict[str, Any]:
    document: dict[str, Any] = open_store(store).job("work")
    return document


async def doubled(number: int) -> dict[str, int]:
    await asyncio.sleep(0)
    return {"number": number, "double": 2 * number}


def test_each_input_is_done_once_and_the_job_is_completed(tmp_path: Path) -> None:
    counts = run(tmp_path, doubled, range(50))
    assert counts == {"done": 50, "failed": 0, "ignored": 0, "known": 0, "retried": 0}
    assert sorted(item["number"] for item in items(tmp_path)) == list(range(50))
    document = status(tmp_path)
    assert (document["kind"], document["status"]) == ("stage", "completed")
    assert document["requests"]["done"] == document["requests"]["total"] == 50


def test_plain_code_and_plain_functions_give_the_same(tmp_path: Path) -> None:
    threads = set()

    def plain(number: int) -> dict[str, int]:
        threads.add(threading.current_thread().name)
        return {"number": number}

    with Stage("work", store=tmp_path) as stage:
        counts = stage.map(plain, iter(range(30)), concurrency=3)
    assert counts["done"] == 30
    assert stage.status == "completed"
    assert len(items(tmp_path)) == 30
    assert 1 <= len(threads) <= 3
    assert threading.current_thread().name not in threads


@dataclass
class Book:
    title: str


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        (None, 0),
        ({"a": 1}, 1),
        (Book("x"), 1),
        ([{"a": 1}, {"a": 2}, None], 2),
        ([], 0),
        (lambda: ({"a": n} for n in range(3)), 3),
    ],
)
def test_results_are_items(tmp_path: Path, result: Any, stored: int) -> None:
    async def waits(_: str) -> Any:
        return result() if callable(result) else result

    def plain(_: str) -> Any:
        return result() if callable(result) else result

    async def generates(_: str) -> Any:
        for n in range(2):
            yield {"n": n}

    run(tmp_path, waits, ["a"])
    assert len(items(tmp_path)) == stored
    run(tmp_path, plain, ["a"])
    assert len(items(tmp_path)) == stored
    run(tmp_path, generates, ["a"])
    assert len(items(tmp_path)) == 2


def test_a_failed_attempt_is_tried_again_and_gives_nothing_twice(tmp_path: Path) -> None:
    attempts: dict[int, int] = {}

    async def flaky(number: int) -> dict[str, int]:
        attempts[number] = attempts.get(number, 0) + 1
        if attempts[number] < 3:
            raise ValueError(f"not yet: {number}")
        return {"number": number}

    counts = run(tmp_path, flaky, range(20), retry_delay=0.01)
    assert counts["done"] == 20
    assert counts["retried"] == 40
    assert set(attempts.values()) == {3}
    assert len(items(tmp_path)) == 20
    assert {row["attempts"] for row in open_store(tmp_path).requests("work")} == {3}


def test_what_fails_to_the_end_stays_failed_until_it_is_retried(tmp_path: Path) -> None:
    calls = []
    broken = True

    async def breaks(number: int) -> dict[str, int]:
        calls.append(number)
        if number == 3 and broken:
            raise ValueError("no")
        return {"number": number}

    counts = run(tmp_path, breaks, range(5), retry_delay=0, max_attempts=2)
    assert (counts["done"], counts["failed"]) == (4, 1)
    assert calls.count(3) == 2
    (row,) = open_store(tmp_path).requests("work", state="failed")
    assert (row["url"], row["error"], row["error_message"]) == ("3", "ValueError", "no")
    assert status(tmp_path)["status"] == "completed"

    calls.clear()
    counts = run(tmp_path, breaks, range(5), mode="retry-failed", retry_delay=0, max_attempts=2)
    assert calls == [3, 3]  # it has all its attempts again
    broken = False
    run(tmp_path, breaks, range(5), mode="retry-failed", retry_delay=0)
    assert sorted(item["number"] for item in items(tmp_path)) == list(range(5))


def test_retry_costs_no_attempt_and_fail_ends_all_of_them(tmp_path: Path) -> None:
    seen: list[str] = []

    async def function(word: str) -> None:
        seen.append(word)
        if word == "later" and seen.count("later") < 5:
            raise Retry("busy", after=0.01)
        if word == "never":
            raise Fail("it is gone")
        if word == "pointless":
            raise Skip("nothing to do")

    counts = run(tmp_path, function, ["later", "never", "pointless"], max_attempts=2)
    assert counts == {"done": 1, "failed": 1, "ignored": 1, "known": 0, "retried": 4}
    assert seen.count("never") == 1
    states = {row["url"]: row for row in open_store(tmp_path).requests("work")}
    assert states["later"]["attempts"] == 1
    assert (states["never"]["error"], states["never"]["error_message"]) == ("Fail", "it is gone")
    assert states["pointless"]["error_message"] == "nothing to do"


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
def test_an_attempt_that_takes_too_long_fails_and_holds_nobody_up(
    tmp_path: Path, kind: str
) -> None:
    hangs = threading.Event()

    async def waits(number: int) -> None:
        if number == 0:
            await asyncio.Event().wait()

    def blocks(number: int) -> None:
        if number == 0:
            hangs.wait(30)

    began = time.monotonic()
    function = waits if kind == "coroutine" else blocks
    counts = run(
        tmp_path, function, range(20), timeout=0.1, max_attempts=2, retry_delay=0, concurrency=2
    )
    hangs.set()
    assert (counts["done"], counts["failed"]) == (19, 1)
    assert time.monotonic() - began < 10
    (row,) = open_store(tmp_path).requests("work", state="failed")
    assert row["error"] == "TimeoutError"
    assert "no result within 0.1 s" in row["error_message"]


def test_concurrency_is_kept(tmp_path: Path) -> None:
    running = most = 0

    async def function(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    run(tmp_path, function, range(60), concurrency=5)
    assert most == 5


def test_inputs_are_read_as_they_are_worked_off(tmp_path: Path) -> None:
    read = done = furthest = 0

    def inputs() -> Any:
        nonlocal read
        for number in range(20_000):
            read += 1
            yield number

    async def function(_: int) -> None:
        nonlocal done, furthest
        done += 1
        furthest = max(furthest, read - done)
        await asyncio.sleep(0)

    run(tmp_path, function, inputs(), concurrency=50)
    assert done == 20_000
    assert furthest <= 2_500


def test_asynchronous_inputs_are_taken_as_they_come(tmp_path: Path) -> None:
    first_done = asyncio.Event()

    async def function(number: int) -> dict[str, int]:
        if number == 0:
            first_done.set()
        return {"number": number}

    async def inputs() -> Any:
        yield 0
        await asyncio.wait_for(first_done.wait(), 10)  # the first is done before the second comes
        for number in range(1, 30):
            yield number

    assert run(tmp_path, function, inputs())["done"] == 30


def test_two_maps_run_side_by_side(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("work", store=tmp_path) as stage:
            one, two = await asyncio.gather(
                stage.map(doubled, range(100), name="one"),
                stage.map(doubled, range(100, 200), name="two"),
            )
            assert (one["done"], two["done"]) == (100, 100)

    run_async(main)
    assert status(tmp_path)["status"] == "completed"
    assert len(items(tmp_path)) == 200


def test_two_maps_of_one_name_at_a_time_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with Stage("work", store=tmp_path) as stage:
            await asyncio.gather(stage.map(doubled, range(9)), stage.map(doubled, range(9)))

    with pytest.raises(ConfigurationError, match="two maps named 'doubled'"):
        run_async(main)


# ---- keys


def test_equal_keys_are_one_task_and_a_number_is_no_text(tmp_path: Path) -> None:
    seen = []

    async def function(value: Any) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    counts = run(tmp_path, function, [1, "1", 1, "1", 1.0, 2.5, "a", "a"])
    assert len(seen) == 4
    assert counts["known"] == 4
    assert [type(value) for value in seen if value in (1, "1")] == [int, str]


def test_keys_are_fields_or_functions(tmp_path: Path) -> None:
    rows = [{"id": n % 3, "n": n} for n in range(9)]
    seen: list[Any] = []

    async def function(row: dict[str, int]) -> None:
        seen.append(row)

    assert run(tmp_path, function, rows, key="id")["done"] == 3
    assert run(tmp_path, function, rows, key=lambda row: (row["id"], "x"), name="g")["done"] == 3
    assert {row["url"] for row in open_store(tmp_path).requests("work#1")} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("inputs", "key", "message"),
    [
        ([{"a": 1}], None, "is no key by itself"),
        ([{"a": 1}], "b", "has no field 'b'"),
        ([{"a": None}], "a", "key is None"),
        ([float("nan")], None, "key is nan"),
        ([True], None, "is no key by itself"),
        (["x"], 5, "key is 5"),
    ],
)
def test_an_input_without_a_key_is_an_error(
    tmp_path: Path, inputs: Any, key: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path, doubled, inputs, key=key)


def test_odd_and_huge_keys_are_keys(tmp_path: Path) -> None:
    odd = [
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "ü" * 10,
        "x" * 1_000_000,
        "'; DROP TABLE",
        '","input":',
    ]
    seen: list[str] = []

    async def function(text: str) -> None:
        seen.append(text)
        if seen.count(text) == 1:
            raise ValueError("once more, from the store")

    assert run(tmp_path, function, odd, retry_delay=0.01)["done"] == len(odd)
    assert sorted(seen) == sorted(odd * 2)
    assert run(tmp_path, function, odd, mode="auto")["done"] == len(odd)


def test_an_input_that_cannot_be_stored_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotRecordableError, match="the input of 7 cannot be stored"):
        run(tmp_path, doubled, [{"id": 7, "lock": threading.Lock()}], key="id")
    assert status(tmp_path)["status"] == "failed"
    assert status(tmp_path)["error"]["class"] == "NotRecordableError"


def test_a_result_that_cannot_be_stored_fails_its_task(tmp_path: Path) -> None:
    async def function(number: int) -> dict[str, Any]:
        return {"value": threading.Lock() if number == 1 else number}

    counts = run(tmp_path, function, range(3))
    assert (counts["done"], counts["failed"]) == (2, 1)
    (row,) = open_store(tmp_path).requests("work", state="failed")
    assert row["error"] == "ItemNotRecordableError"


def test_a_generator_that_raises_ends_the_stage_after_what_it_gave(tmp_path: Path) -> None:
    def inputs() -> Any:
        yield from range(5)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        run(tmp_path, doubled, inputs())
    document = status(tmp_path)
    assert document["status"] == "failed"
    assert document["error"]["message"] == "the file is gone"
    assert run(tmp_path, doubled, range(8))["known"] + 0 == document["requests"]["done"]
    assert sorted(item["number"] for item in items(tmp_path)) == list(range(8))
    assert status(tmp_path)["status"] == "completed"


def test_an_item_key_updates(tmp_path: Path) -> None:
    async def function(number: int) -> dict[str, int]:
        return {"id": number % 2, "number": number}

    run(tmp_path, function, range(6), item_key="id")
    assert len(items(tmp_path)) == 2


def test_units_are_named(tmp_path: Path) -> None:
    run(tmp_path, doubled, range(10), unit=lambda number: f"tens {number % 2}")
    units = {unit["unit"]: unit for unit in open_store(tmp_path).units("work")}
    assert units.keys() == {"tens 0", "tens 1"}
    assert units["tens 0"]["done"] == 5


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"max_attempts": 0}, {"retry_delay": -1}, {"timeout": 0}]
)
def test_wrong_numbers_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        run(tmp_path, doubled, [1], **options)
