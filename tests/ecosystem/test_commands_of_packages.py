"""Commands and platforms of other packages that crawl."""

from __future__ import annotations

import json

from tests.ecosystem.conftest import Project

POET = """
    import attrs
    import scrapy
    from web_poet import ItemPage, HttpResponse, field, handle_urls

    @attrs.define
    class Book:
        title: str

    class BookPage(ItemPage[Book]):
        response: HttpResponse

        def __init__(self, response: HttpResponse):
            self.response = response

        @field
        def title(self):
            return self.response.css("title::text").get()

    class Books(scrapy.Spider):
        name = "books"

        async def start(self):
            import os
            yield scrapy.Request(os.environ["SITE"] + "/1")

        def parse(self, response, page: BookPage):
            yield {"title": page.title}
"""

POET_SETTINGS = """
    ADDONS["scrapy_poet.Addon"] = 300
"""

BOOKS = """
    import os

    import scrapy

    class Books(scrapy.Spider):
        name = "books"

        async def start(self):
            for number in range(5):
                yield scrapy.Request(f"{os.environ['SITE']}/{number}")

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""


def test_savefixture_of_scrapy_poet_opens_no_job(project: Project) -> None:
    project.write(POET, POET_SETTINGS)
    for page in ("/x", "/y"):
        words = ["savefixture", "shop.spiders.BookPage", f"{project.site.url}{page}"]
        assert project.run("-m", "scrapy", *words) == 0, project.log[-3000:]
    saved = list((project.path / "fixtures").rglob("output.json"))
    assert sorted(json.loads(path.read_text())["title"] for path in saved) == ["/x", "/y"]
    assert project.jobs() == []


def test_crawls_with_scrapy_poet_are_jobs(project: Project) -> None:
    project.write(POET, POET_SETTINGS)
    assert project.run("-m", "scrapy", "crawl", "books") == 0, project.log[-3000:]
    assert [job["job"] for job in project.jobs()] == ["books"]


def test_the_entry_point_of_scrapy_cloud_runs_a_job(project: Project) -> None:
    project.write(BOOKS)
    fifo = project.path / "platform"
    settings = {"project_settings": {}, "job_settings": {"RESUME_STORE": "store"}}
    job = {"key": "1/2/3", "spider": "books", "auth": "x", "spider_type": "manual"}
    more = {
        "SHUB_JOBKEY": "1/2/3",
        "SHUB_SPIDER": "books",
        "SHUB_JOBNAME": "books",
        "SHUB_JOB_DATA": json.dumps(job),
        "SHUB_SETTINGS": json.dumps(settings),
        "SHUB_FIFO_PATH": str(fifo),
        "SCRAPY_SETTINGS_MODULE": "shop.settings",
    }
    fifo.touch()
    assert project.run("-m", "sh_scrapy.crawl", more=more) == 0, project.log[-5000:]
    assert [job["status"] for job in project.jobs()] == ["completed"], fifo.read_text()[-3000:]
    assert "JOBDIR, which Scrapy Cloud sets for every crawl, is left out" in (
        project.log + fifo.read_text()
    )
