"""What the benchmarks tell: from which hits, and of which rounds."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fairness import race
from benchmarks.support import record as recording
from benchmarks.support.hits import Hit, HitLog
from benchmarks.support.record import Record, Result
from benchmarks.support.site import texts, twin_host
from benchmarks.support.suites import SUITES, Configuration

FAST, SLOW = "127.0.1.1", "127.0.1.3"
RESULTS = {"plain": Result(1.5, 10**8, 2.5, 0.0), "resume": Result(1.25, 10**8, 2.25, 1e6)}
CONTESTANTS = ("plain", "resume")
CONFIGURATION = Configuration(latency=0.05, settings=("DOWNLOAD_DELAY=0.5",))


def hits(*told: tuple[float, str]) -> list[Hit]:
    return [Hit(at, host, f"/page/{number}") for number, (at, host) in enumerate(told)]


def test_gap_of_the_slow_host_ends_where_the_fast_ones_do() -> None:
    found = race(hits((10, FAST), (11, SLOW), (13, SLOW), (14.5, FAST), (20, SLOW)), SLOW)
    assert (found.seconds, found.first_slow, found.longest_gap, found.slow_hits) == (4.5, 1, 2.0, 2)


def test_slow_host_that_is_not_asked_any_more_has_a_gap_to_the_end() -> None:
    assert race(hits((10, FAST), (11, SLOW), (15, FAST)), SLOW).longest_gap == 4.0


def test_slow_host_that_is_never_asked_has_one_gap() -> None:
    found = race(hits((10, FAST), (15, FAST)), SLOW)
    assert (found.first_slow, found.longest_gap) == (5.0, 5.0)


def test_line_of_the_hit_log_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "hits.log"
    path.write_bytes(b"1.500000 127.0.1.1 /page/1\n2.5000")
    log = HitLog(path)
    assert log.more() == [Hit(1.5, "127.0.1.1", "/page/1")]
    with path.open("ab") as file:
        file.write(b"00 127.0.1.2 /page/2\n")
    assert log.more() == [Hit(2.5, "127.0.1.2", "/page/2")]
    assert log.more() == []


def test_each_link_is_followed_by_its_twin() -> None:
    site = argparse.Namespace(pages=4, links=1, hosts=2, twins=True)
    page = texts(site, 80)[b"/page/0"].decode()
    assert twin_host(2) == SLOW
    fast, slow = (page.index(f'"http://{host}:80/page/1"') for host in ("127.0.1.2", SLOW))
    assert fast < slow


def test_contest_that_was_stopped_has_its_rounds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "contest.jsonl"
    Record(path).add(CONFIGURATION, RESULTS)
    Record(path).add(replace(CONFIGURATION, reading="cheap"), RESULTS)
    [found] = Record(path).rounds(CONFIGURATION, CONTESTANTS)
    assert found.results == RESULTS


def test_rounds_without_a_contestant_are_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "contest.jsonl"
    Record(path).add(CONFIGURATION, RESULTS)
    assert not Record(path).rounds(CONFIGURATION, [*CONTESTANTS, "jobdir"])


@pytest.mark.parametrize("what", ["machine", "code_digest"])
def test_rounds_of_another_machine_or_program_are_not_counted(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "contest.jsonl"
    Record(path).add(CONFIGURATION, RESULTS)
    monkeypatch.setattr(recording, what, lambda: "another")
    assert not Record(path).rounds(CONFIGURATION, CONTESTANTS)


def test_torn_line_of_a_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "contest.jsonl"
    Record(path).add(CONFIGURATION, RESULTS)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    with pytest.raises(SystemExit, match="line 2, is no round"):
        Record(path)


def test_headline_rows_have_twenty_rounds() -> None:
    assert SUITES["headline"].rounds >= 20
