"""What a crawl is begun by, and where its standard error leads, decide what it may be or write."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from scrapy_resume import open_store
from tests.support.site import REPO

SPIDER = """
    import scrapy

    class Few(scrapy.Spider):
        name = "few"

        async def start(self):
            for number in range(3):
                yield scrapy.Request(f"data:text/plain,{number}")

        def parse(self, response):
            yield {"number": response.text}
"""

SETTINGS = """
    SPIDER_MODULES = ["shop.spiders"]
    COMMANDS_MODULE = "shop.commands"
    ADDONS = {"scrapy_resume.Addon": 500}
    RESUME_STORE = "store"
    LOG_FILE = "crawl.log"
    TELNETCONSOLE_ENABLED = False
"""

COMMAND = """
    from scrapy.commands import ScrapyCommand

    class Command(ScrapyCommand):
        requires_project = True

        def short_desc(self):
            return "crawls"

        def run(self, args, opts):
            self.crawler_process.crawl("few")
            self.crawler_process.start()
"""

DAEMON = """
    import os, sys

    class Log:
        def write(self, text): pass
        def flush(self): pass

    {replace}
    from scrapy.cmdline import execute

    execute(["scrapy", "crawl", "few", "-o", "items.jsonl"])
"""

SERVICE = """
    import sys

    from twisted.internet import asyncioreactor

    asyncioreactor.install()
    from twisted.internet import reactor
    from twisted.web.client import Agent, readBody
    from twisted.web.resource import Resource
    from twisted.web.server import NOT_DONE_YET, Site
    from scrapy.crawler import CrawlerRunner
    from scrapy.utils.project import get_project_settings

    class Crawls(Resource):
        isLeaf = True

        def render_GET(self, request):
            settings = get_project_settings()
            settings.setdict(dict(word.split("=") for word in sys.argv[1:]))
            crawl = CrawlerRunner(settings).crawl("few")
            crawl.addBoth(lambda _: (request.write(b"ended"), request.finish()))
            return NOT_DONE_YET

    port = reactor.listenTCP(0, Site(Crawls()), interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/".encode()
    asked = Agent(reactor).request(b"GET", url)
    asked.addCallback(readBody)
    asked.addBoth(lambda _: reactor.stop())
    reactor.run()
"""

TWICE = """
    from scrapy.crawler import CrawlerProcess
    from scrapy.utils.project import get_project_settings

    process = CrawlerProcess(get_project_settings())
    process.crawl("few")
    process.crawl("few")
    process.start()
"""

STATUS = """
    import scrapy
    from scrapy.utils.engine import format_engine_status

    class Few(scrapy.Spider):
        name = "few"
        custom_settings = {"CONCURRENT_REQUESTS": 1}

        async def start(self):
            for number in range(50):
                yield scrapy.Request(f"data:text/plain,{number}")

        def parse(self, response):
            if response.text == "9":
                print(format_engine_status(self.crawler.engine))
"""

MADE_BEFORE = """
    import sys

    from scrapy.utils.reactor import install_reactor

    install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
    from scrapy.utils.test import get_crawler
    from shop.spiders import Few
    from twisted.internet import reactor

    settings = {"ADDONS": {"scrapy_resume.Addon": 500}, "RESUME_STORE": "store"}
    settings.update(word.split("=") for word in sys.argv[1:])
    crawler = get_crawler(Few, settings)
    crawler.crawl().addBoth(lambda _: reactor.callLater(0, reactor.stop))
    reactor.run()
    print(crawler.stats.get_value("item_scraped_count"), crawler.stats.get_value("finish_reason"))
"""


SET_UP_BY_HAND = """
    from scrapy.utils.reactor import install_reactor

    install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
    from scrapy.crawler import Crawler
    from shop.spiders import Few

    settings = {"ADDONS": {"scrapy_resume.Addon": 500}, "RESUME_STORE": "store"}
    crawler = Crawler(Few, {**settings, "RESUME_JOB": "tested"})
    crawler.crawling = True
    crawler.spider = crawler._create_spider()
    crawler._apply_settings()
    print(type(crawler._create_engine()).__name__)
"""

ASKED_AFTERWARDS = """
    import sys

    from scrapy.crawler import {process}
    from scrapy.utils.project import get_project_settings
    from shop.spiders import Few

    class Odd(Few):
        def parse(self, response):
            yield {{"number": object()}}

    process = {process}(get_project_settings())
    crawler = process.create_crawler(Odd)
    process.crawl(crawler)
    process.start()
    print(crawler.spider.name, process.bootstrap_failed)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    package = tmp_path / "shop"
    (package / "commands").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "commands" / "__init__.py").touch()
    files = {"settings.py": SETTINGS, "spiders.py": SPIDER, "commands/crawlall.py": COMMAND}
    for name, text in files.items():
        (package / name).write_text(dedent(text))
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    return tmp_path


def run(
    shop: Path, *words: str, shell: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Python with these words; ``shell`` is added to the command line."""
    paths = os.pathsep.join([str(REPO), str(shop), str(shop / "installed")])
    return subprocess.run(
        ["sh", "-c", f"exec {shlex.join([sys.executable, *words])} {shell}"],
        cwd=shop,
        env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def program(shop: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (shop / "program.py").write_text(dedent(text))
    return run(shop, "program.py", *words)


def jobs(shop: Path) -> list[str]:
    if not (shop / "store").exists():
        return []
    return [row["job"] for row in open_store(str(shop / "store")).jobs()]


def log(shop: Path) -> str:
    return (shop / "crawl.log").read_text()


def numbers(shop: Path) -> list[str]:
    lines = (shop / "items.jsonl").read_text().splitlines()
    return sorted(json.loads(line)["number"] for line in lines)


# ---- standard error


@pytest.mark.parametrize("shell", ["2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_standard_error_that_is_closed_ends_no_crawl(shop: Path, shell: str) -> None:
    ended = run(shop, "-m", "scrapy", "crawl", "few", "-o", "items.jsonl", shell=shell)
    assert ended.returncode == 0, log(shop)
    assert numbers(shop) == ["0", "1", "2"]
    assert "Traceback" not in log(shop)


@pytest.mark.parametrize(
    "replace",
    [
        "sys.stderr = Log()",
        "sys.stderr.close()",
        "os.close(2)",
        "Log.isatty = 1; sys.stderr = Log()",
    ],
)
def test_standard_error_that_was_replaced_ends_no_crawl(shop: Path, replace: str) -> None:
    ended = program(shop, DAEMON.format(replace=replace))
    assert ended.returncode == 0, log(shop)
    assert numbers(shop) == ["0", "1", "2"]
    assert "Traceback" not in log(shop)


def test_refusal_goes_to_no_standard_output_in_place_of_a_closed_standard_error(
    shop: Path,
) -> None:
    words = ["-m", "scrapy", "crawl", "few", "-o", "-:jsonlines", "-s", "RESUME_MOED=once"]
    ended = run(shop, *words, shell="2>&-")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "RESUME_MOED" in log(shop)


def test_commands_print_no_note_to_standard_output_in_its_place(shop: Path) -> None:
    ended = run(shop, "-m", "scrapy", "resume", "status", "nothing", "--json", shell="2>&-")
    assert (ended.returncode, ended.stdout) == (1, "")


# ---- what begins the crawl


def test_command_of_the_project_opens_a_job(shop: Path) -> None:
    assert run(shop, "-m", "scrapy", "crawlall").returncode == 0
    assert jobs(shop) == ["few"]


def install_command(shop: Path) -> None:
    """Install a package whose entry point is a command that crawls."""
    site = shop / "installed"
    about = site / "fixtures_for_all-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "fixtures_for_all.py").write_text(dedent(COMMAND))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fixtures-for-all\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[scrapy.commands]\nfixture = fixtures_for_all:Command\n"
    )


def test_command_of_another_package_opens_none(shop: Path) -> None:
    install_command(shop)
    assert run(shop, "-m", "scrapy", "fixture").returncode == 0
    assert jobs(shop) == []
    assert "No job is opened for a command of fixtures_for_all" in log(shop)
    assert "item_scraped_count': 3" in log(shop)


def test_command_of_another_package_opens_one_that_is_named(shop: Path) -> None:
    install_command(shop)
    assert run(shop, "-m", "scrapy", "fixture", "-s", "RESUME_JOB=mine").returncode == 0
    assert jobs(shop) == ["mine"]


def test_service_that_answers_by_crawls_opens_none(shop: Path) -> None:
    assert program(shop, SERVICE).returncode == 0
    assert jobs(shop) == []
    assert program(shop, SERVICE, "RESUME_JOB=served").returncode == 0
    assert jobs(shop) == ["served"]


def test_crawler_that_is_given_its_settings_before_it_crawls(shop: Path) -> None:
    ended = program(shop, MADE_BEFORE)
    assert ended.stdout.split() == ["3", "finished"], ended.stderr
    assert jobs(shop) == []


def test_the_same_opens_a_job_that_is_named(shop: Path) -> None:
    for number in (1, 2):
        ended = program(shop, MADE_BEFORE, "RESUME_JOB=tested")
        assert ended.stdout.split() == ["3", "finished"], ended.stderr
        assert jobs(shop) == ["tested"] * number


def test_engine_that_a_program_sets_up_itself_is_built_for_a_job_that_is_named(shop: Path) -> None:
    ended = program(shop, SET_UP_BY_HAND)
    assert ended.stdout.split() == ["ExecutionEngine"], ended.stderr


@pytest.mark.parametrize("process", ["CrawlerProcess", "AsyncCrawlerProcess"])
def test_program_finds_the_spider_and_the_failure_when_an_item_was_not_stored(
    shop: Path, process: str
) -> None:
    ended = program(shop, ASKED_AFTERWARDS.format(process=process))
    assert ended.stdout.split() == ["few", "True"], ended.stderr


# ---- a JOBDIR of the platform's


def test_jobdir_that_a_platform_sets_is_left_out(shop: Path) -> None:
    words = ["-m", "scrapy", "crawl", "few", "-s", "JOBDIR=jobdata"]
    assert run(shop, *words).returncode == 1
    assert run(shop, *words, environment={"SHUB_JOBKEY": "1/2/3"}).returncode == 0
    assert jobs(shop) == ["few"]
    assert not (shop / "jobdata").exists()
    assert "JOBDIR" in log(shop)


# ---- what Scrapy's own tools show


def test_engine_status_counts_what_waits(shop: Path) -> None:
    (shop / "shop" / "spiders.py").write_text(dedent(STATUS))
    shown = run(shop, "-m", "scrapy", "crawl", "few").stdout
    lines = dict(line.rsplit(":", 1) for line in shown.splitlines() if "engine.scheduler." in line)
    counts = {name.split("scheduler.")[1][:3]: int(count) for name, count in lines.items()}
    assert sum(counts.values()) > 0, shown
    assert set(counts) == {"dqs", "mqs"}
    assert "exception" not in shown.lower()


def test_the_same_spider_twice_in_one_process_is_told_what_it_is(shop: Path) -> None:
    ended = program(shop, TWICE)
    assert "few#1 is being crawled by this process already" in log(shop), ended.stderr
    assert "RESUME_JOB" in ended.stderr
    assert "another process" not in log(shop)
    assert jobs(shop) == ["few"]
