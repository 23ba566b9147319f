"""What people report of Scrapy and its plugins: plain, with the package, through kills and changes.

Each case names the report that it follows.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from scrapy_resume import open_store
from scrapy_resume.steering import retry
from tests.support.kills import Kill, Live, at_feed_lines, at_hits, random_kills, when_logged
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of, watched
from tests.support.site import REPO, Site

SETTINGS_MODULE = """\
BOT_NAME = "shop"
SPIDER_MODULES = ["shop"]
ADDONS = {"scrapy_resume.Addon": 500}
"""
QUICK = {"CONCURRENT_REQUESTS": 2, "RESUME_COMMIT_INTERVAL": 0.02}
SLOW = {"CONCURRENT_REQUESTS": 1, "RESUME_COMMIT_INTERVAL": 0.01}
FEED = "items.jsonl"
LATENCY_SECONDS = 0.02
CLOSING = when_logged("Closing spider (finished)")


class Project:
    """A project as people have them, in a folder of its own."""

    def __init__(self, site: Site, place: Workplace, launcher: Launcher) -> None:
        self.site, self.place, self.launcher = site, place, launcher
        self.path = place.path / "project"
        self.path.mkdir()
        shutil.copy(REPO / "tests" / "support" / "reported.py", self.path / "shop.py")
        (self.path / "scrapy.cfg").write_text("[settings]\ndefault = conf\n")
        (self.path / "conf.py").write_text(SETTINGS_MODULE)

    def crawl(
        self, spider: str, settings: dict[str, Any] | None = None, *more: str, **how: Any
    ) -> Run:
        given = {"RESUME_STORE": self.place.location, **QUICK, **(settings or {})}
        given = {name: value for name, value in given.items() if value is not None}
        return self.scrapy("crawl", spider, *options_of("-s", given), *more, **how)

    def scrapy(self, *words: str, **how: Any) -> Run:
        log = self.place.next_log()
        how.setdefault("launcher", self.launcher)
        return watched(list(words), site=self.site, log=log, folder=self.path, **how)

    def plain(
        self, spider: str, settings: dict[str, Any] | None = None, *more: str
    ) -> tuple[Counter[str], int]:
        """The lines of the feed that plain Scrapy writes, and how many pages it asked for."""
        before = len(self.site.hits())
        given = {**(settings or {}), "RESUME_ENABLED": False}
        run = self.crawl(spider, given, "-O", "plain.jsonl", *more)
        assert run.is_finished, run.tail()
        return self.lines("plain.jsonl"), len(self.site.hits()) - before

    def lines(self, name: str = FEED) -> Counter[str]:
        return Counter(map(canonical, self.items(name)))

    def items(self, name: str = FEED) -> list[Any]:
        return [json.loads(line) for line in (self.path / name).read_text().splitlines()]

    def stored(self, job: str) -> Counter[str]:
        return Counter(canonical(item) for item in open_store(self.place.location).items(job))

    def jobs(self) -> dict[str, str]:
        rows = open_store(self.place.location).jobs()
        return {f"{row['job']}#{row['number']}": row["status"] for row in rows}

    def job(self, job: str) -> dict[str, Any]:
        return open_store(self.place.location).job(job)

    def through(self, spider: str, kills: list[Kill], settings: dict[str, Any], *more: str) -> Run:
        """Crawls until a process came to its end by itself."""
        for kill in [*kills, None]:
            run = self.crawl(spider, settings, *more, kill=kill)
            if run.killed_at is None:
                break
        assert run.exit_code == 0, run.tail()
        return run


def canonical(item: Any) -> str:
    """Without the moment at which the item was made."""
    return json.dumps({k: v for k, v in dict(item).items() if k != "at"}, sort_keys=True)


@pytest.fixture
def project(site: Site, place: Workplace, launcher: Launcher) -> Iterator[Project]:
    site.begin(place.path / "hits.jsonl", latency=LATENCY_SECONDS)
    found = Project(site, place, launcher)
    rows = [f"name {number},{number if number % 2 else ''}" for number in range(14)]
    (found.path / "rows.csv").write_text("\n".join(["name,number", *rows]))
    yield found
    site.begin(place.path / "after.jsonl", latency=0.0)


def remembered(*attributes: str) -> dict[str, str]:
    return {
        "ITEM_PIPELINES": '{"shop.AddressVerification": 100}',
        "RESUME_STATE": json.dumps({"shop.AddressVerification": attributes}),
    }


IN_THE_SUITE = ("scrapy#4918", "scrapy#3713, scrapy#1424", "scrapy#5289")
"""The others are left to the soak."""

KILLED_ANYWHERE: dict[str, tuple[str, dict[str, Any]]] = {
    # One object in the requests' cb_kwargs and below an attribute of the spider.
    "scrapy#4918": ("attribute", {}),
    # A mutable object in cb_kwargs, which one callback fills and another reads.
    "scrapy#6120": ("collecting", SLOW),
    # The runner sends SIGKILL to a spider that has not ended some seconds after its end began.
    "alltheplaces#14466": ("titles", {}),
    # "Closing spider (finished)" is the last line of the log, the pipelines never close.
    "scrapy#945": ("titles", {"ITEM_PIPELINES": '{"shop.HangsAtTheEnd": 100}'}),
    # A pipeline that counts and drops what is repeated.
    "scrapy#5465": ("repeats", remembered("seen", "count")),
    # An exporter of one's own, with a state.
    "scrapy#5706": ("repeats", {"FEED_EXPORTERS": '{"jsonl": "shop.NumberingExporter"}'}),
    # Item classes that are made from lists of fields; items that take any field.
    "scrapy#3713, scrapy#1424": ("shapes", {}),
    # Items from the rows of a table, beside requests for others of them.
    "scrapy#3003": ("table", {}),
    # Items between the requests of start().
    "scrapy#5289": ("late_item", {}),
}
NOT_OF_ITEMS = {"scrapy#5706"}
"""The feed shows something else than the items."""


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(report, marks=[] if report in IN_THE_SUITE else pytest.mark.soak)
        for report in KILLED_ANYWHERE
    ],
)
def test_killed_anywhere_and_at_its_end_a_crawl_gives_plain_items(
    project: Project, report: str
) -> None:
    spider, settings = KILLED_ANYWHERE[report]
    (project.path / "hung").touch()
    expected, hits = project.plain(spider, settings)
    (project.path / "hung").unlink()
    kills = [*random_kills(len(report), hits, 2), CLOSING]
    run = project.through(spider, kills, settings, "-o", FEED)
    assert project.jobs() == {f"{spider}#1": "completed"}, run.tail()
    if report in NOT_OF_ITEMS:
        numbers = [item["number"] for item in project.items()]
        assert (numbers, expected.total()) == (list(range(1, 8)), 7)
    else:
        assert project.lines() == expected, run.tail()
        assert project.stored(spider) == expected, run.tail()


# ---- names

LIST = "-a", "storage_key=birds"


def test_a_job_is_known_over_the_schedulers_arguments(project: Project) -> None:
    """scrapyd#78: each schedule passes another ``_job``; python-scrapyd-api#8: what ``storage_key``
    says is what is crawled, although its name looks like that of a credential."""
    expected, _ = project.plain("lists", {}, *LIST, "-a", "_job=0")
    for number, kill in enumerate([at_feed_lines(project.path / FEED, 3), None], 1):
        again = "-a", f"_job=26d1b1a6d6f111e0be5c001e648c57f{number}"
        run = project.crawl("lists", SLOW, *LIST, *again, "-o", FEED, kill=kill)
        assert (run.exit_code == 0) == (kill is None), run.tail()
    assert project.lines() == expected
    (birds,) = project.jobs()
    assert project.crawl("lists", {}, "-a", "storage_key=fish", "-O", "fish.jsonl").is_finished
    assert len(project.jobs()) == 2
    assert project.lines("fish.jsonl").total() == expected.total()
    listed = project.scrapy("resume", "list", "-s", f"RESUME_STORE={project.place.location}")
    assert birds in listed.text
    assert "storage_key=birds" in listed.text


# ---- an item key that no item has

KEYS: dict[str, dict[str, Any]] = {
    # The default of a plugin, "url", which no item has.
    "scrapy-elasticsearch#13": {"RESUME_ITEM_KEY": "url"},
    # A key of another project; later items were dropped as repeated ones.
    "scrapy-mongodb#14": {"RESUME_ITEM_KEY": "keyLinkedin", "RESUME_ITEM_DUPLICATES": "drop"},
}


@pytest.mark.parametrize("report", KEYS)
def test_an_item_key_that_no_item_has_is_said_and_drops_nothing(
    project: Project, report: str
) -> None:
    settings = KEYS[report] | SLOW
    expected, hits = project.plain("titles")
    killed = project.crawl("titles", settings, "-o", FEED, kill=random_kills(1, hits, 1)[0])
    run = project.crawl("titles", settings, "-o", FEED)
    assert run.is_finished, run.tail()
    for one in (killed, run):
        assert one.text.count(f"RESUME_ITEM_KEY names '{settings['RESUME_ITEM_KEY']}'") == 1
    assert project.lines() == project.stored("titles") == expected
    assert project.job("titles")["items"]["dropped"] == 0


# ---- a store that is deleted

DOT_SCRAPY = {"RESUME_STORE": None, **SLOW}


def deleted_after(project: Project, lines: int) -> Kill:
    def kill(live: Live) -> None:
        feed = project.path / FEED
        assert live.until(lambda: feed.exists() and feed.read_text().count("\n") >= lines)
        shutil.rmtree(project.path / ".scrapy")

    return kill


@pytest.mark.sqlite
@pytest.mark.soak
def test_the_data_directory_is_deleted_to_clear_the_cache(project: Project) -> None:
    """scrapy#2601: "to delete cache I just delete .scrapy folder in project directory"."""
    cached = DOT_SCRAPY | {"HTTPCACHE_ENABLED": True}
    expected, _ = project.plain("titles", {"HTTPCACHE_ENABLED": False})
    run = project.crawl("titles", cached, "-o", FEED, kill=deleted_after(project, 3))
    assert run.exit_code == 1, run.tail()
    assert "was deleted or moved while the crawl was running" in run.text
    killed = project.crawl("titles", cached, "-o", FEED, kill=at_feed_lines(project.path / FEED, 2))
    assert killed.exit_code == -9
    run = project.crawl("titles", cached, "-o", FEED)
    assert run.is_finished, run.tail()
    assert project.lines() == expected


@pytest.mark.sqlite
def test_the_directory_is_removed_to_start_it_at_all(project: Project) -> None:
    """scrapy#4479: "the only way to start it is to remove the directory", after the service was
    stopped; the feed is the same."""
    expected, _ = project.plain("chain")
    for _ in range(2):
        assert project.crawl("chain", SLOW, "-o", FEED, kill=at_hits(5)).exit_code == -9
        shutil.rmtree(project.place.store)
    run = project.crawl("chain", SLOW, "-o", FEED)
    assert run.is_finished, run.tail()
    assert project.lines() == project.stored("chain") == expected


# ---- numbers that are deleted


@pytest.mark.soak
def test_results_of_earlier_runs_stay(project: Project) -> None:
    """scrapyd#317: old items are cleaned up, and nobody has asked for it."""
    expected, _ = project.plain("titles")
    for number in range(1, 5):
        assert project.crawl("titles", {}, "-o", FEED).is_finished, number
    assert project.jobs() == {f"titles#{number}": "completed" for number in range(1, 5)}
    for number in range(1, 5):
        assert project.stored(f"titles#{number}") == expected


def test_what_a_delta_crawl_rests_on_is_not_deleted(project: Project) -> None:
    """scrapy-deltafetch#31: later crawls skip what an earlier one has given, which is then the only
    one to have it."""
    delta: dict[str, Any] = {"RESUME_MODE": "delta", "RESUME_KEEP": 1}
    logs = project.place.path
    expected: Counter[str] = Counter()
    for stage in (1, 2, 3):
        project.site.begin(logs / f"stage{stage}.jsonl", latency=LATENCY_SECONDS, stage=stage)
        expected |= project.plain("products")[0]
        if stage == 2:
            assert project.crawl("products", delta, "-o", FEED, kill=at_hits(6)).exit_code == -9
            delta = {"RESUME_KEEP": 1}
        assert project.crawl("products", delta, "-o", FEED).is_finished
        delta = {"RESUME_MODE": "delta", "RESUME_KEEP": 1}
    project.site.begin(logs / "stage1-again.jsonl", stage=1)
    assert len(project.jobs()) == 3
    store = "-s", f"RESUME_STORE={project.place.location}"
    words = "resume", "export", "products", "--all-numbers", "-o", "all.jsonl"
    run = project.scrapy(*words, *store)
    assert run.exit_code == 0, run.tail()
    assert project.lines("all.jsonl") == project.lines() == expected


# ---- media

MEDIA: dict[str, tuple[str, int]] = {
    # A pipeline of one's own reports how each file has fared, and raises its own error.
    "scrapy#2504": ("ReportingFiles", 2),
    # An error in file_path() is passed over.
    "scrapy#5067": ("BuggyFiles", 5),
}


@pytest.mark.parametrize("report", MEDIA)
def test_files_that_cannot_be_had_count_with_their_page(project: Project, report: str) -> None:
    pipeline, lost = MEDIA[report]
    settings = {
        "ITEM_PIPELINES": json.dumps({f"shop.{pipeline}": 1}),
        "FILES_STORE": "store",
        "GAPS": pipeline == "ReportingFiles",
        "FILES_EXPIRES": 0,
        **SLOW,
    }
    expected, hits = project.plain("files", settings)
    run = project.through("files", [*random_kills(2, hits, 2), CLOSING], settings, "-o", FEED)
    assert without_status(project.items()) == without_status(project.items("plain.jsonl"))
    job = project.job("files")
    assert (job["status"], job["items"]["failed"]) == ("completed", lost), run.tail()
    store = "-s", f"RESUME_STORE={project.place.location}"
    assert project.scrapy("resume", "status", "files", "--check", *store).exit_code == 3
    assert retry(project.place.location, "files", state="done", partial=True) == lost
    again = project.crawl("files", {**settings, "GAPS": False}, "-o", FEED)
    assert again.is_finished, again.tail()
    still = 0 if pipeline == "ReportingFiles" else lost
    assert project.job("files")["items"]["failed"] == still
    assert len(project.items()) == expected.total()


def without_status(items: list[Any]) -> list[Any]:
    """Whether a file was had by this process or an earlier one."""
    for item in items:
        for file in item.get("files", ()):
            del file["status"]
    return sorted(items, key=lambda item: item["title"])


# ---- a retry that fails


DOWN = {"DOWNLOADER_MIDDLEWARES": '{"shop.SiteIsDown": 900}', "RETRY_ENABLED": False, **SLOW}


@pytest.mark.parametrize("number", [4, 0])
def test_a_retry_of_a_chain_that_breaks_takes_nothing_away(project: Project, number: int) -> None:
    """kingfisher-collect#1163: it takes one error in a chain of pages for the crawl to stop."""
    expected, _ = project.plain("chain")
    assert project.crawl("chain", DOWN, "-o", FEED).is_finished
    retry(project.place.location, "chain", state="done")
    kill = when_logged(f"Scraped from <200 {project.site.url}/leaf/2>")
    project.crawl("chain", DOWN | {"DOWN": number}, "-o", FEED, kill=kill)
    run = project.crawl("chain", DOWN | {"DOWN": number}, "-o", FEED)
    assert run.is_finished, run.tail()
    assert project.job("chain")["requests"]["failed"] == 1
    assert project.lines() == project.stored("chain") == expected


def test_what_has_failed_is_tried_again_in_rounds(project: Project) -> None:
    """kingfisher-collect#79: "we try again in a day to see if those errors have cleared"."""
    expected, _ = project.plain("titles")
    store = project.place.location
    assert project.crawl("titles", DOWN | {"DOWN": "2,3,7"}, "-o", FEED).is_finished
    assert project.stored("titles").total() == expected.total() - 3
    for leaves in ("3,5", "0,3", ""):
        retry(store, "titles", state="done")
        retry(store, "titles")
        assert project.crawl("titles", DOWN | {"DOWN": leaves}, "-o", FEED).is_finished
        whole = expected if not leaves else expected - Counter([canonical({"title": "leaf 3"})])
        assert project.lines() == project.stored("titles") == whole
