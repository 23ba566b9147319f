"""All pairs of store and target, through kills of the crawler and restarts of the servers, with
pages that a retry changes and pages that go: the table is what plain Scrapy gives in the end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume import open_store, steering
from tests.feeds.runs import Crawl, Live, at_random
from tests.support.launcher import Launcher
from tests.support.postgres import PostgresServer, PostgresUnavailableError
from tests.support.site import REPO
from tests.support.skips import not_started

from .shelf import Shelf

SPIDER = REPO / "tests" / "databases" / "shelf_spider.py"
PAGES = 40
FAILING, CHANGING, GONE = range(5), range(5, 10), range(10, 16)
SEEDS = range(1, 11)


class ShelfCrawl(Crawl):
    """Of the pages in a file; the store is named."""

    store = ""

    def words(self, *, plain: bool) -> list[str]:
        words = super().words(plain=plain)
        words[1] = str(SPIDER)
        return [f"RESUME_STORE={self.store}" if w.startswith("RESUME_STORE=") else w for w in words]

    def is_completed(self) -> bool:
        if not self.store.startswith("postgresql:") and not Path(self.store).exists():
            return False
        return [job["status"] for job in open_store(self.store).jobs()] == ["completed"]


def write_site(path: Path, *, later: bool) -> None:
    """The site as it is at first, or later."""
    pages = {}
    for number in range(PAGES):
        version = 2 if later and number in (*FAILING, *CHANGING) else 1
        pages[f"{number:02}"] = {
            "status": (404, 410)[number % 2] if later and number in GONE else 200,
            "fails": number in FAILING and not later,
            "items": [
                {
                    "page": number,
                    "code": f"{number // 2}-{place}",  # that of two pages
                    "text": f"é\t\\ {version} " + "x" * number,
                    "price": number / 4 if number % 5 else None,
                    "tags": ["a", {"b": number}],
                }
                for place in range(3 if version == 1 else 2)
            ],
        }
    path.write_text(json.dumps(pages))


@dataclass
class Places:
    """Where a crawl keeps its job, and where its table is."""

    store: str
    target: str
    servers: dict[str, PostgresServer]
    """Those that the crawl needs."""


@pytest.fixture(scope="module")
def second_server() -> Iterator[PostgresServer]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer({"fsync": "off"}))
        except PostgresUnavailableError as error:
            not_started("PostgreSQL", error)
        yield server


@contextmanager
def placed(store: str, target: str, folder: Path, first: Any, second: Any) -> Iterator[Places]:
    servers = {
        **({"store": first} if store == "postgresql" else {}),
        **({"target": second} if target == "postgresql" else {}),
    }
    places = Places(
        first.new_database() if store == "postgresql" else str(folder / "store"),
        second.new_database() if target == "postgresql" else f"sqlite:///{folder / 'shop.db'}",
        servers,
    )
    yield places
    for server, url in ((first, places.store), (second, places.target)):
        if url.startswith("postgresql:"):
            server.drop_database(url)


def restarting(servers: list[PostgresServer], chance: random.Random) -> Callable[[Live], None]:
    """The servers crash in mid-crawl, and come again."""

    def restart(live: Live) -> None:
        live.logged("Spider opened")
        for server in servers:
            live.wait(chance.uniform(0, 0.3))
            server.restart("immediate")

    return restart


def new_crawl(folder: Path, launcher: Launcher, places: Places, key: str | None) -> ShelfCrawl:
    options = {"format": "sql", "batch_size": 7, "on_removed": "delete", "primary_key": key}
    crawl = ShelfCrawl(
        folder / "crawl",
        launcher,
        feed=f"{places.target}#items",
        options=options,
        arguments={"site": folder / "site.json"},
        settings={"RESUME_REMOVAL_LIMIT": 1, "CONCURRENT_REQUESTS_PER_DOMAIN": 4},
    )
    crawl.store = places.store
    return crawl


def urls(numbers: range) -> list[str]:
    return [f"http://shelf.invalid/{number:02}" for number in numbers]


def shown(item: dict[str, Any]) -> str:
    """An item as canonical text, whatever the database has for lists."""
    item = {name: value for name, value in item.items() if value is not None}
    if isinstance(item["tags"], str):
        item["tags"] = json.loads(item["tags"])
    return json.dumps(item, sort_keys=True)


def plain_items(folder: Path, launcher: Launcher) -> list[dict[str, Any]]:
    plain = ShelfCrawl(
        folder / "plain", launcher, feed="items.jsonl", arguments={"site": folder / "site.json"}
    )
    plain.run(plain=True)
    return [json.loads(text) for text in plain.items().elements()]


def check_table(shelf: Shelf, items: list[dict[str, Any]], key: str | None) -> None:
    rows, wanted = shelf.rows(), sorted(map(shown, items))
    if key is None:
        assert sorted(map(shown, rows)) == wanted
        assert len(shelf.side_rows()) == len(items)
        return
    assert sorted(row[key] for row in rows) == sorted({item[key] for item in items})
    assert {shown(row) for row in rows} <= set(wanted)


@pytest.mark.soak  # three kills, and four runs or more, each
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("key", [None, "code"])
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_killed_and_restarted_the_table_is_what_plain_scrapy_gives(
    launcher: Launcher,
    postgres_server: PostgresServer,
    second_server: PostgresServer,
    tmp_path: Path,
    store: str,
    target: str,
    key: str | None,
    seed: int,
) -> None:
    chance = random.Random(f"{seed} {store} {target} {key}")
    site = tmp_path / "site.json"
    with placed(store, target, tmp_path, postgres_server, second_server) as places:
        crawl = new_crawl(tmp_path, launcher, places, key)
        write_site(site, later=False)
        kills = [at_random(chance) for _ in range(3)]
        servers = list(places.servers.values())
        crawl.run_killed(kills[0])
        if servers:
            crawl.run_killed(restarting(servers, chance))
        crawl.run_killed(kills[1])
        crawl.run_to_the_end()
        write_site(site, later=True)
        assert steering.retry(places.store) == len(FAILING)
        again = urls(range(5, 16))
        assert steering.retry(places.store, state="done", urls=again) == len(again)
        crawl.run_killed(kills[2])
        if servers:
            crawl.run_killed(restarting(servers[::-1], chance))
        crawl.run_to_the_end()
        with Shelf(places.target) as shelf:
            check_table(shelf, plain_items(tmp_path, launcher), key)
