"""Spidermon sees one run, and the whole job with ``RESUME_STATS = "job"``."""

from __future__ import annotations

from tests.ecosystem.conftest import Project

SPIDERS = """
    import os

    import scrapy
    from spidermon import Monitor, MonitorSuite, monitors
    from spidermon.contrib.scrapy.monitors import ItemCountMonitor

    class Whole(MonitorSuite):
        monitors = [ItemCountMonitor]

    class Books(scrapy.Spider):
        name = "books"

        async def start(self):
            for number in range(12):
                yield scrapy.Request(f"{os.environ['SITE']}/{number}")

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""

SETTINGS = """
    SPIDERMON_ENABLED = True
    EXTENSIONS = {"spidermon.contrib.scrapy.extensions.Spidermon": 500}
    SPIDERMON_SPIDER_CLOSE_MONITORS = ["shop.spiders.Whole"]
    SPIDERMON_MIN_ITEMS = 12
    CONCURRENT_REQUESTS = 1
"""

CRAWL = ("-m", "scrapy", "crawl", "books")
ALARM = "FAIL: Extracted Items Monitor"


def verdicts(project: Project, stats: str) -> list[bool]:
    """Whether each of two runs raised an alarm: one that is stopped, one that completes the job."""
    found = []
    for words in (("-s", "CLOSESPIDER_PAGECOUNT=6"), ()):
        before = len(project.log) if (project.path / "log").exists() else 0
        assert project.run(*CRAWL, "-s", f"RESUME_STATS={stats}", *words) == 0
        found.append(ALARM in project.log[before:])
    return found


def test_resumed_run_raises_no_false_alarm(project: Project) -> None:
    project.write(SPIDERS, SETTINGS)
    assert verdicts(project, "job") == [True, False], project.log[-4000:]


def test_resumed_run_raises_one_without_the_setting(project: Project) -> None:
    project.write(SPIDERS, SETTINGS)
    assert verdicts(project, "run") == [True, True], project.log[-4000:]
