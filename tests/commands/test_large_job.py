"""A job of a million requests is looked at as cheaply as one of ten."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reads import cost, typical
from benchmarks.support.large_job import LargeJob

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_800)]

REQUESTS = 1_000_000
SCREEN_CPU_SECONDS = 0.5
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    job = LargeJob("http://h", REQUESTS, REQUESTS // 10, slots=50, items=1, failed_every=20)
    job.build(folder / "store", "large")
    return folder


def words(*command: str) -> list[str]:
    return ["resume", *command, "-s", "RESUME_STORE=store"]


@pytest.mark.parametrize("command", ["status", "list", "show", "failed", "report"])
def test_a_screen_costs_less_than_half_a_second_of_cpu(folder: Path, command: str) -> None:
    start_up = typical(["version"], folder, 3).cpu_seconds
    assert typical(words(command), folder, 3).cpu_seconds - start_up < SCREEN_CPU_SECONDS


@pytest.mark.parametrize("file", ["items.jsonl", "items.csv"])
def test_an_export_of_a_million_items_streams(folder: Path, file: str) -> None:
    asked = cost(words("status"), folder)
    exported = cost(words("export", "-o", file), folder)
    assert (folder / file).stat().st_size > 40 * MEGABYTE
    assert exported.peak_bytes - asked.peak_bytes < 20 * MEGABYTE
