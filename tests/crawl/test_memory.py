"""What stays in memory of pages that are done."""

from __future__ import annotations

import re
import shutil

from tests.support.keepers import PAGES
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

CONCURRENT = 4


def test_a_response_goes_when_nobody_works_on_it_and_stays_with_who_keeps_it(
    site: Site, place: Workplace, launcher: Launcher
) -> None:
    keeper = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "keepers.py", keeper.spider)
    run = keeper.run({"CONCURRENT_REQUESTS": CONCURRENT})
    assert run.is_finished, run.tail()
    assert sum(keeper.titles().values()) == PAGES
    found = re.search(r"(\d+) responses; '(leaf \d+)' was kept", run.text)
    assert found is not None, run.tail()
    assert int(found[1]) <= CONCURRENT + 1, "those of the last downloads, and the one that was kept"
