"""A login that each run does: its page, the form that is sent, and the session that comes of it."""

from __future__ import annotations

import signal
import textwrap
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.members import MEMBERS, SPIDER, Members, serving_members
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings


@pytest.fixture
def members() -> Iterator[Members]:
    with serving_members() as members:
        yield members


@pytest.fixture
def crawl(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    found.spider.write_text(SPIDER)
    return found


def run(crawl: Wanderings, members: Members, kill: Kill | None = None) -> Run:
    settings = {"CONCURRENT_REQUESTS": 2, "RESUME_COMMIT_INTERVAL": 0.01}
    return crawl.run(settings, "-a", f"home={members.url}", kill=kill)


def at(members: Members, asked: str, count: int, signum: signal.Signals) -> Kill:
    """When the site was asked so often."""

    def kill(live: Live) -> float | None:
        found = live.until(lambda: (members.pages if not asked else members.asked[asked]) >= count)
        return live.send(signum) if found else None

    return kill


@pytest.mark.parametrize("redirects", [True, False])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_each_run_sends_the_form_again_when_its_session_has_expired(
    crawl: Wanderings, members: Members, signum: signal.Signals, redirects: bool
) -> None:
    members.redirects = redirects
    loop = "        for href in"
    crawl.replace_in_spider(loop, f'        yield {{"title": "The login"}}\n{loop}')
    for pages in (4, 10):
        stopped = run(crawl, members, at(members, "", pages, signum))
        assert crawl.job()["status"] in {"crashed", "paused"}, stopped.tail()
        members.sessions.clear()
        members.asked["refused"] = 0  # of pages that were on their way meanwhile
    last = run(crawl, members)
    assert last.is_finished, last.tail()
    assert members.asked["refused"] == 0, "no page is asked for before the session is there"
    assert crawl.titles() == members.whole + Counter(["The login"])
    assert (members.asked["GET /login"], members.asked["POST /login"]) == (3, 3)
    assert crawl.job()["status"] == "completed"


def test_a_run_whose_session_is_good_still_sends_no_form(
    crawl: Wanderings, members: Members
) -> None:
    run(crawl, members, at(members, "", 4, signal.SIGKILL))
    last = run(crawl, members)
    assert last.is_finished, last.tail()
    assert crawl.titles() == members.whole
    assert members.asked["POST /login"] == 1


def test_each_account_has_a_login_of_its_own_in_each_run(
    crawl: Wanderings, members: Members
) -> None:
    members.redirects = False
    old = 'yield Request(f"{self.home}/login", self.log_in, meta={"resume_every_run": True})'
    meta = 'meta={"resume_every_run": True, "cookiejar": user}, dont_filter=True'
    new = f"""for user in self.users:
            yield Request(f"{{self.home}}/login", self.log_in, {meta})"""
    crawl.replace_in_spider(old, new)
    crawl.replace_in_spider('"members"\n', '"members"\n    users = ["me", "you"]\n')
    jar = 'meta={"cookiejar": response.meta["cookiejar"]}'
    crawl.replace_in_spider("formdata=form,", f"formdata=form, {jar},")
    crawl.replace_in_spider("self.parse_member)", f"self.parse_member, {jar})")
    loop = "        for href in"
    item = 'yield {"title": response.meta["cookiejar"]}'
    crawl.replace_in_spider(loop, f"        {item}\n{loop}")
    run(crawl, members, at(members, "", 6, signal.SIGKILL))
    members.sessions.clear()
    members.asked["refused"] = 0
    crawl.replace_in_spider('"me", "you"', '"new", "you", "me"')
    last = run(crawl, members)
    assert last.is_finished, last.tail()
    assert crawl.titles() == members.whole + Counter(["me", "you", "new"])
    assert members.asked["POST /login"] == 5
    assert members.asked["refused"] == 0


@pytest.mark.parametrize("asked", ["POST /login", "GET /account"])
def test_killed_while_it_logs_in_a_crawl_begins_with_the_form(
    crawl: Wanderings, members: Members, asked: str
) -> None:
    for _ in range(2):
        count = members.asked[asked] + 1
        assert run(crawl, members, at(members, asked, count, signal.SIGKILL)).killed_at is not None
        members.sessions.clear()
    last = run(crawl, members)
    assert last.is_finished, last.tail()
    assert crawl.titles() == members.whole
    assert members.asked["POST /login"] == 3


def test_the_recipe_is_the_one_of_the_docs() -> None:
    spider = SPIDER.partition('"""\n\n')[2]
    shown = textwrap.indent(spider, "    ", lambda line: bool(line.strip()))
    assert shown in (REPO / "docs" / "between-runs.md").read_text()
    assert MEMBERS > 10, "the kills come before the last one"
