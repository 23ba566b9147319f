"""Rows a second into a database: `scrapy resume export` beside a pipeline written by hand.

    python benchmarks/sql_feed.py [--items 100000] [--rounds 1]

The items have 200 bytes. The pipeline is what one finds most: SQLAlchemy Core, a commit by 500, and
no memory of what it has written: after a restart its rows are there twice. Both read the items from
the same job, so that only the writing differs.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import load
from scrapy_resume import open_store
from tests.support.postgres import PostgresServer

SPIDER = """
import scrapy

class Rows(scrapy.Spider):
    name = "rows"
    custom_settings = {"ADDONS": {"scrapy_resume.Addon": 500}, "LOG_LEVEL": "WARNING"}

    async def start(self):
        for page in range(int(self.items) // 1000):
            yield scrapy.Request(f"data:,{page}", cb_kwargs={"page": page})

    def parse(self, response, page):
        for place in range(1000):
            yield {"page": page, "place": place, "name": f"{page}-{place}", "price": page / 2,
                   "text": "x" * 140}
"""

BATCH = 500


def pipeline(folder: Path, job: str, url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    table = sa.Table(
        "by_hand",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("page", sa.Integer),
        sa.Column("place", sa.Integer),
        sa.Column("name", sa.Text),
        sa.Column("price", sa.Float),
        sa.Column("text", sa.Text),
    )
    table.metadata.drop_all(engine)
    table.metadata.create_all(engine)
    rows = []
    with engine.connect() as connection:
        for item in open_store(str(folder / ".scrapy" / "resume")).items(job):
            rows.append(dict(item))
            if len(rows) == BATCH:
                connection.execute(sa.insert(table), rows)
                connection.commit()
                rows = []
        if rows:
            connection.execute(sa.insert(table), rows)
            connection.commit()


def export(folder: Path, job: str, output: str) -> None:
    command = [sys.executable, "-m", "scrapy", "resume", "export", job, "--overwrite", "-o", output]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def measured(name: str, items: int, run: Callable[[], None]) -> None:
    before = _cpu()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    print(
        f"{name:38} {items / seconds:10,.0f} rows/s"
        f" {1e6 * (_cpu() - before) / items:8.1f} µs of CPU a row"
    )


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    items = arguments.items
    with tempfile.TemporaryDirectory() as name, PostgresServer() as server:
        folder = Path(name)
        (folder / "spider.py").write_text(SPIDER)
        crawl = [sys.executable, "-m", "scrapy", "runspider", "spider.py", "-a", f"items={items}"]
        subprocess.run([*crawl, "-s", "RESUME_JOB=rows"], cwd=folder, check=True)
        print(load())
        for turn in range(arguments.rounds):
            measured("JSON Lines, export", items, lambda: export(folder, "rows", "out.jsonl"))
            urls = {
                "SQLite": f"sqlite:///{folder / f'{turn}.db'}",
                "PostgreSQL": server.new_database(),
            }
            for database, url in urls.items():
                output = f"{url}#exported:sql"
                measured(f"{database}, export", items, lambda o=output: export(folder, "rows", o))
                measured(f"{database}, by hand", items, lambda u=url: pipeline(folder, "rows", u))
        print(load())


if __name__ == "__main__":
    main()
