"""What docs/recipes.md rests on: starts that something else makes, again and again, or at once."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from scrapy_resume import open_store
from tests.crawl.test_launched import jobs, log, numbers, run, shop
from tests.support.site import REPO
from tests.support.skips import other_platform

__all__ = ["shop"]

DEPLOY = REPO / "example_project" / "deploy"

SPIDER = """
    import asyncio
    import os
    from pathlib import Path

    import scrapy

    class Few(scrapy.Spider):
        name = "few"
        custom_settings = {"CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0.02}

        async def start(self):
            for number in range(30):
                yield scrapy.Request(f"data:text/plain,{number}")

        async def parse(self, response):
            while Path("hold").exists():
                await asyncio.sleep(0.02)
            seen = Path("seen")
            seen.write_text(str(int(seen.read_text()) + 1) if seen.exists() else "1")
            if Path(f"die{response.text}").exists():
                Path(f"die{response.text}").unlink()
                os._exit(9)
            yield {"number": response.text}
"""


@pytest.fixture
def slow(shop: Path) -> Path:
    (shop / "shop" / "spiders.py").write_text(dedent(SPIDER))
    return shop


ALL = sorted(str(number) for number in range(30))


def starts_of_the_unit() -> list[str]:
    """The words after ``scrapy`` that the unit of systemd starts."""
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "catalogue.service")
    assert unit["Service"]["Restart"] == "on-failure"
    words = shlex.split(unit["Service"]["ExecStart"])
    return ["few" if word == "catalogue" else word for word in words[1:]]


@pytest.mark.soak
def test_unit_is_started_until_the_job_is_completed_and_then_begins_nothing(slow: Path) -> None:
    words = starts_of_the_unit()
    for number in (3, 17, 29):
        (slow / f"die{number}").touch()
    codes = [run(slow, "-m", "scrapy", *words).returncode for _ in range(5)]
    assert codes == [9, 9, 9, 0, 0], log(slow)
    assert jobs(slow) == ["few"]
    assert numbers(slow) == ALL


def started(shop: Path, *before: str) -> subprocess.Popen[bytes]:
    words = [*before, sys.executable, "-m", "scrapy", "crawl", "few", "-o", "items.jsonl"]
    paths = os.pathsep.join([str(REPO), str(shop)])
    return subprocess.Popen(
        words, cwd=shop, env={**os.environ, "PYTHONPATH": paths}, start_new_session=True
    )


def await_pages(shop: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    seen = shop / "seen"
    while not (seen.exists() and int(seen.read_text() or 0) >= count):
        assert time.monotonic() < deadline, log(shop)
        time.sleep(0.02)


def test_start_by_the_clock_beside_a_live_run_is_refused_and_changes_nothing(slow: Path) -> None:
    first = started(slow)
    await_pages(slow, 3)
    (slow / "hold").touch()
    second = run(slow, "-m", "scrapy", "crawl", "few", "-o", "items.jsonl")
    (slow / "hold").unlink()
    assert second.returncode == 1
    assert "another process" in second.stderr
    assert first.wait(60) == 0
    assert numbers(slow) == ALL
    assert jobs(slow) == ["few"]


@pytest.fixture
def process_1() -> list[str]:
    """What runs a command as process 1 of a namespace of its own, as a container does."""
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"]).returncode:
        pytest.skip(other_platform("no process may make a PID namespace here"))
    return words


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.soak)]
)
def test_process_1_of_a_container_stops_and_goes_on_in_the_next(
    slow: Path, process_1: list[str], number: signal.Signals
) -> None:
    first = started(slow, *process_1)
    await_pages(slow, 5)
    os.kill(child_of(first.pid), number)
    first.wait(60)
    (job,) = open_store(str(slow / "store")).jobs()
    assert job["status"] == ("paused" if number is signal.SIGTERM else "crashed")
    # The same process number, in another namespace.
    second = started(slow, *process_1)
    assert second.wait(60) == 0, log(slow)
    (job,) = open_store(str(slow / "store")).jobs()
    assert job["status"] == "completed"
    assert numbers(slow) == ALL
