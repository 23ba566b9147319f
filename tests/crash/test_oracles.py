"""The oracles of these tests see what they are there to see."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from tests.support.oracles import Truth, damaged_files, verdict
from tests.support.runs import Run
from tests.support.site import Hit

LOG = Path("run.log")
KILLED = Run(-9, LOG, started_at=0.0, ended_at=10.0, killed_at=10.0)
LAST = Run(0, LOG, started_at=10.5, ended_at=20.0)
TRUTH = Truth(Counter("ab"), [Hit(0, "/a", "GET", 1.0, 1.1, 200), Hit(1, "/b", "GET", 1.0, 1.1)])


def asked(number: int, url: str, at: float, answered_at: float | None, status: int = 200) -> Hit:
    return Hit(number, url, "GET", at, answered_at, None if answered_at is None else status)


def test_page_in_flight_at_the_kill_may_be_fetched_again(tmp_path: Path) -> None:
    hits = [asked(0, "/a", 1, 2), asked(1, "/b", 9.9, None), asked(2, "/b", 11, 12)]
    found = verdict(TRUTH, Counter("ab"), hits, [KILLED, LAST], tmp_path)
    assert found.is_clean
    assert [kill.again for kill in found.kills] == [Counter({"GET /b": 1})]


def test_page_answered_long_before_the_kill_may_not(tmp_path: Path) -> None:
    hits = [asked(0, "/a", 1, 2), asked(1, "/b", 3, 4), asked(2, "/b", 11, 12)]
    found = verdict(TRUTH, Counter("ab"), hits, [KILLED, LAST], tmp_path)
    assert found.unexplained == Counter({"GET /b": 1})
    assert not found.is_clean


def test_retry_after_503_is_no_second_fetch(tmp_path: Path) -> None:
    hits = [asked(0, "/a", 1, 2), asked(1, "/b", 3, 4, 503), asked(2, "/b", 5, 6)]
    assert verdict(TRUTH, Counter("ab"), hits, [LAST], tmp_path).is_clean


def test_lost_doubled_and_never_fetched_are_seen(tmp_path: Path) -> None:
    hits = [asked(0, "/a", 1, 2)]
    found = verdict(TRUTH, Counter("aa"), hits, [LAST], tmp_path)
    assert (found.lost, found.twice) == (Counter("b"), Counter("a"))
    assert found.never_fetched == Counter({"GET /b": 1})


def test_damaged_database_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "job.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (a TEXT)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 100,)] * 1000)
    assert not damaged_files(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    assert damaged_files(tmp_path)
