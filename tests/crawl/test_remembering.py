"""Pipelines, filters and exporters that remember what they have seen remember it over all runs."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.kills import Kill, Live, at_feed_lines
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

PAGES = 20
ONCE_EACH = Counter(dict.fromkeys(range(5), 1))
STATE = {"remembering.DuplicatesPipeline": ["ids_seen", "first"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), pages=PAGES, latency=0.01) as running:
        yield running


@pytest.fixture
def crawl(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    found.spider.unlink()
    found.spider = place.path / "remembering.py"
    shutil.copy(REPO / "tests" / "support" / "remembering.py", found.spider)
    return found


def with_pipelines(*names: str, **settings: object) -> dict[str, object]:
    pipelines = {f"remembering.{name}": 100 + at for at, name in enumerate(names)}
    return {"ITEM_PIPELINES": json.dumps(pipelines), "CONCURRENT_REQUESTS": 2, **settings}


SLOW = {"CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0.05}


def half_way(crawl: Wanderings) -> Kill:
    return at_feed_lines(crawl.place.path / "items.jsonl", 3)


def ids(crawl: Wanderings, name: str = "items.jsonl") -> Counter[int]:
    lines = (crawl.place.path / name).read_text().splitlines()
    return Counter(json.loads(line)["id"] for line in lines)


def test_a_duplicates_pipeline_remembers_the_items_of_finished_pages_alone(
    crawl: Wanderings,
) -> None:
    """Killed when it knows an item of a page that is not finished; every other page is."""
    settings = with_pipelines(
        "DuplicatesPipeline", "HoldingPipeline", RESUME_STATE=json.dumps(STATE)
    )

    def kill(live: Live) -> float | None:
        held = crawl.place.path / "held"
        assert live.until(lambda: held.exists() and crawl.job()["requests"]["done"] == PAGES - 1)
        return live.send(signal.SIGKILL)

    run = crawl.run(settings, "-o", "items.jsonl", kill=kill)
    assert run.exit_code == -9, run.tail()
    assert set(ids(crawl)) == {0, 1, 2, 4}
    (crawl.place.path / "go").touch()
    run = crawl.run(settings, "-o", "items.jsonl")
    assert run.is_finished, run.tail()
    assert ids(crawl) == ONCE_EACH, run.tail()


def test_a_duplicates_pipeline_remembers_items_over_runs(crawl: Wanderings) -> None:
    settings = with_pipelines("DuplicatesPipeline", RESUME_STATE=json.dumps(STATE))
    settings |= SLOW
    killed = crawl.run(settings, "-o", "items.jsonl", kill=half_way(crawl))
    assert killed.exit_code == -9, killed.tail()
    run = crawl.run(settings, "-o", "items.jsonl")
    assert run.is_finished, run.tail()
    assert ids(crawl) == ONCE_EACH, run.tail()


def test_a_class_that_is_not_loaded_is_refused(crawl: Wanderings) -> None:
    run = crawl.run({"RESUME_STATE": json.dumps(STATE)})
    assert run.exit_code == 1
    assert "no item pipeline, middleware or extension of that class is loaded" in run.text
    assert crawl.jobs() == {}


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("connection", "remembering.Broken.connection, which RESUME_STATE names, cannot be"),
        ("ids_sen", "RESUME_STATE names 'ids_sen' of remembering.Broken, which has no such"),
    ],
)
def test_an_attribute_that_cannot_be_kept_is_an_error(
    crawl: Wanderings, attribute: str, message: str
) -> None:
    state = json.dumps({"remembering.Broken": [attribute]})
    run = crawl.run(with_pipelines("Broken", RESUME_STATE=state))
    assert run.exit_code == 1
    assert message in run.text
    assert crawl.job()["status"] != "completed"


def test_of_items_with_one_key_the_first_stays_over_all_runs(crawl: Wanderings) -> None:
    settings = {"RESUME_ITEM_KEY": "id", "RESUME_ITEM_DUPLICATES": "drop", **SLOW}
    killed = crawl.run(settings, "-o", "items.jsonl", kill=half_way(crawl))
    assert killed.exit_code == -9, killed.tail()
    before = {item["id"]: item["title"] for item in crawl.items()}
    assert before
    run = crawl.run(settings, "-o", "items.jsonl")
    assert run.is_finished, run.tail()
    assert ids(crawl) == ONCE_EACH
    assert before.items() <= {item["id"]: item["title"] for item in crawl.items()}.items()
    assert crawl.job()["items"] == {"stored": 5, "dropped": PAGES - 5, "failed": 0}


def test_a_filter_of_a_feed_is_shown_the_earlier_items(crawl: Wanderings) -> None:
    feeds = {"items.jsonl": {"format": "jsonlines", "item_filter": "remembering.FirstOfId"}}
    settings = {"FEEDS": json.dumps(feeds), **SLOW}
    killed = crawl.run(settings, kill=half_way(crawl))
    assert killed.exit_code == -9, killed.tail()
    run = crawl.run(settings)
    assert run.is_finished, run.tail()
    assert ids(crawl) == ONCE_EACH
