"""Every command of ``scrapy resume`` knows a stage's job."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import Stage
from tests.commands.conftest import Answer, call, shelf
from tests.stages.processes import PROGRAM, Program
from tests.support.stages import run_async

__all__ = ["call", "shelf"]

Call = Callable[..., Answer]


async def enrich(row: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    if row["id"] in ("b", "d"):
        raise ConnectionError("no answer")
    return {"id": row["id"], "price": 3}


def run(store: Path, function: Any = enrich, name: str = "enrich") -> Stage:
    rows = [{"id": letter, "kind": "even" if ord(letter) % 2 else "odd"} for letter in "abcde"]

    async def main() -> Stage:
        async with Stage(name, store=store) as stage:
            await stage.map(
                function, rows, key="id", unit="kind", retry_delay=0, max_attempts=2, name="enrich"
            )
        return stage

    return run_async(main)


def document(call: Call, *words: str) -> Any:
    answer = call(*words, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_reading_commands_show_keys_in_place_of_urls(shelf: Any, call: Call) -> None:
    run(shelf.directory)
    (listed,) = document(call, "list")
    assert (listed["job"], listed["kind"], listed["status"]) == ("enrich", "stage", "completed")
    assert document(call, "status", "enrich")["requests"]["failed"] == 2
    assert {row["url"] for row in document(call, "requests", "enrich")} == set("abcde")
    rows = document(call, "requests", "enrich", "--state", "failed", "--callback", "enrich")
    assert [(row["url"], row["unit"]) for row in rows] == [("b", "odd"), ("d", "odd")]
    assert [row["url"] for row in document(call, "requests", "enrich", "--url", "a*")] == ["a"]
    (failure,) = document(call, "failed", "enrich")
    assert (failure["error"], failure["count"]) == ("ConnectionError", 2)
    units = {unit["unit"]: unit["done"] for unit in document(call, "units", "enrich")}
    assert units == {"even": 3, "odd": 0}
    assert len(document(call, "items", "enrich")) == 3
    assert document(call, "show", "enrich")["kind"] == "stage"
    assert document(call, "verify", "enrich")
    for words in (["status"], ["show"], ["failed"], ["requests"], ["units"], ["workers"]):
        assert call(*words, "enrich").code == 0
    answer = call("export", "enrich", "-o", "-:jsonlines")
    assert sorted(json.loads(line)["id"] for line in answer.out.splitlines()) == ["a", "c", "e"]
    assert call("status", "enrich", "--check").code == 3


def test_retry_park_and_skip_open_and_close_keys(shelf: Any, call: Call) -> None:
    run(shelf.directory)
    assert call("park", "enrich", "--url", "d").code == 0
    assert call("retry", "enrich", "--state", "failed").code == 0
    assert document(call, "status", "enrich")["status"] == "paused"
    called = []

    async def mended(row: dict[str, Any]) -> dict[str, Any]:
        called.append(row)
        return {"id": row["id"]}

    run(shelf.directory, mended)
    assert called == [{"id": "b", "kind": "odd"}]
    counts = document(call, "status", "enrich")["requests"]
    assert (counts["done"], counts["parked"]) == (4, 1)
    assert call("retry", "enrich", "--state", "done", "--url", "a").code == 0
    run(shelf.directory, mended)
    assert called[1:] == [{"id": "a", "kind": "even"}]
    assert len(document(call, "items", "enrich")) == 4  # replaced, not added
    assert call("skip", "enrich", "--url", "d").code == 0
    assert document(call, "status", "enrich")["requests"]["ignored"] == 1


def test_what_is_skipped_for_good_is_not_begun_in_the_next_number(shelf: Any, call: Call) -> None:
    run(shelf.directory)
    assert call("skip", "enrich", "--unit", "odd").code == 0
    called = []

    async def counted(row: dict[str, Any]) -> None:
        called.append(row["id"])

    run(shelf.directory, counted)
    assert document(call, "status", "enrich")["number"] == 2
    assert sorted(called) == ["a", "c", "e"]


def test_backup_restore_and_reset(shelf: Any, call: Call, tmp_path: Path) -> None:
    run(shelf.directory)
    copy = str(tmp_path / "copy")
    assert call("backup", "enrich", copy).code == 0
    assert call("reset", "enrich", "--yes").code == 0
    assert document(call, "list") == []
    assert call("restore", copy).code == 0
    assert document(call, "list")[0]["kind"] == "stage"


def test_a_report_shows_stages_beside_crawls(shelf: Any, call: Call) -> None:
    run(shelf.directory)
    run(shelf.directory, name="validate")
    answer = call("report")
    assert "enrich" in answer.out
    assert "validate" in answer.out
    report = document(call, "report")
    kinds = {one["job"]: one["kind"] for one in report["stages"]}
    assert kinds == {"enrich": "stage", "validate": "stage"}


def test_run_starts_the_program_again(
    shelf: Any, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = shelf.directory, tmp_path / "program.py"
    file.write_text(PROGRAM.read_text())
    monkeypatch.setattr("tests.stages.processes.PROGRAM", file)
    program = Program(store, "asyncio", 60, cwd=tmp_path, seconds=0.05)
    program.read(10)
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    shown = document(call, "run", "work", "--dry-run")
    assert shown["command"] == [
        "python", str(file), str(store), "asyncio", "60", "seconds=0.05",
    ]  # fmt: skip
    assert shown["directory"] == str(tmp_path)
    words = [sys.executable, "-m", "scrapy", "resume", "run", "work", "--json"]
    words += ["-s", f"RESUME_STORE={store}"]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, check=True, text=True)
    ended = json.loads(done.stdout)
    assert (ended["exit_code"], ended["status"]) == (0, "completed")
    assert document(call, "status", "work")["requests"]["done"] == 60
    file.unlink()
    assert "is completed" in call("run", "work").out


def test_run_starts_no_program_on_the_stores_word_alone(
    shelf: Any, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    file = elsewhere / "program.py"
    file.write_text("import os\n")
    import sqlite3

    run(shelf.directory)
    assert call("retry", "enrich").code == 0
    (path,) = shelf.directory.glob("*.sqlite3")
    launch = {"command": "stage", "file": str(file), "directory": str(elsewhere)}
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE job SET launch = ?", (json.dumps(launch),))
    answer = call("run", "enrich")
    assert answer.code == 1
    assert f"python {file}" in answer.err


def test_a_stage_of_a_notebook_says_where_it_goes_on(shelf: Any, call: Call) -> None:
    run(shelf.directory)
    call("retry", "enrich")
    import sqlite3

    (path,) = shelf.directory.glob("*.sqlite3")
    with sqlite3.connect(path) as connection:
        launch = json.dumps({"command": "stage", "directory": str(shelf.directory)})
        connection.execute("UPDATE job SET launch = ?", (launch,))
    answer = call("run", "enrich")
    assert (answer.code, "in a notebook" in answer.err) == (1, True)


def test_stop_and_recover_reach_a_live_and_a_dead_stage(shelf: Any, call: Call) -> None:
    program = Program(shelf.directory, "asyncio", 500, seconds=0.05)
    program.read(10)
    assert document(call, "status", "work")["status"] == "running"
    assert document(call, "workers", "work")
    assert call("stop", "work").code == 0
    assert program.wait() == 0
    assert document(call, "status", "work")["reason"] == "shutdown"
    program = Program(shelf.directory, "asyncio", 500, seconds=0.5)
    program.read(8)
    program.kill()
    assert document(call, "status", "work")["status"] == "crashed"
    assert call("recover", "work").code == 0
    counts = document(call, "status", "work")
    assert (counts["status"], counts["requests"]["leased"]) == ("paused", 0)


def test_credentials_of_a_programs_arguments_are_not_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scrapy_resume.run.launch import launch_of_program

    monkeypatch.setattr("sys.argv", ["x.py", "--day", "1", "--api-key=s3cret"])
    launch = launch_of_program()
    assert "s3cret" not in json.dumps(launch)
    assert launch["withheld_arguments"] == ("--api-key",)
