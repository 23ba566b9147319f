"""Items that ``start()`` yields are stored once, whatever they hold."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import Wanderings

FIRST = '        self.logger.info("start() runs")\n'
STAMPED = (
    FIRST
    + "        import time\n"
    + '        for title in ["Run", "Run", "Shop"]:\n'
    + '            yield {"title": title, "at": time.time()}\n'
)
SLOW = """\
import asyncio


class Slow:
    async def process_item(self, item):
        await asyncio.sleep(0.05)
        return item
"""


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    found.replace_in_spider(FIRST, STAMPED)
    return found


@pytest.mark.parametrize("slow", [False, True])
def test_items_with_a_time_stamp_are_stored_once_over_kills(
    wanderings: Wanderings, slow: bool
) -> None:
    settings = {"CONCURRENT_REQUESTS": 2, "RESUME_COMMIT_INTERVAL": 0.01}
    if slow:
        (wanderings.place.path / "slow.py").write_text(SLOW)
        settings["ITEM_PIPELINES"] = '{"slow.Slow": 1}'
    given = Counter(["Run", "Run", "Shop"])
    assert wanderings.run(settings, kill=at_hits(12)).killed_at is not None
    assert wanderings.run(settings, kill=at_hits(12)).killed_at is not None
    old = '["Run", "Run", "Shop"]'
    wanderings.replace_in_spider(old, '["Run", "Run", "Shop", "New"]')
    assert wanderings.run(settings, kill=at_hits(12)).killed_at is not None
    last = wanderings.run(settings)
    assert last.is_finished, last.tail()
    assert wanderings.titles() == wanderings.whole + given + Counter(["New"])


def test_a_new_item_before_known_ones_is_stored(wanderings: Wanderings) -> None:
    wanderings.replace_in_spider("time.time()", "0")
    assert wanderings.run(kill=at_hits(12)).killed_at is not None
    wanderings.replace_in_spider('["Run"', '["New", "Run"')
    assert wanderings.run(kill=at_hits(12)).killed_at is not None
    assert wanderings.run().is_finished
    assert wanderings.titles() == wanderings.whole + Counter(["New", "Run", "Run", "Shop"])
