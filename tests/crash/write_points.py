"""A crawl whose process ends at the n-th write of its store, resumed and compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.oracles import Comparison, compare, damaged_files
from tests.support.runs import Workplace, crawl, crawl_through, is_completed, stored_items
from tests.support.site import Site

EXIT_CODE = 77
"""As in ``kinds.write_points``."""

SPIDER = "small"
HITS_BEFORE_RECOVERY = 4


@dataclass(frozen=True)
class Ended:
    """What became of a crawl that ended at a write point. ``reached``: it really did."""

    point: int
    reached: bool
    difference: Comparison
    corrupt: list[str]

    @property
    def is_whole(self) -> bool:
        return not (self.difference.lost or self.difference.twice or self.corrupt)

    def __str__(self) -> str:
        return f"ended at write {self.point}: {self.difference}, corrupt {self.corrupt or 0}"


@dataclass(frozen=True)
class WritePoints:
    """The crawls share a site, a folder and the items that a plain run gives."""

    site: Site
    folder: Path
    expected: Counter[str]
    launcher: Launcher
    spider: str = SPIDER

    def count(self) -> int:
        """How many write points a crawl passes that nobody ends."""
        counter = self.folder / "writes"
        place = self._place("counted")
        extra = {"KINDS_COUNT_WRITES": str(counter)}
        run = crawl(self.spider, site=self.site, place=place, launcher=self.launcher, extra=extra)
        assert run.is_finished, run.tail()
        return counter.stat().st_size

    def of_first_runs(self, points: Iterable[int]) -> list[Ended]:
        """Crawls whose first run ends at the point."""
        return [self._ended(point, self._place(f"first-{point}")) for point in points]

    def of_recoveries(self, points: Iterable[int]) -> list[Ended]:
        """Crawls whose first run was killed, and whose second ends at the point."""
        found = []
        for point in points:
            place = self._place(f"recovery-{point}")
            kill = at_hits(HITS_BEFORE_RECOVERY)
            run = crawl(self.spider, site=self.site, place=place, launcher=self.launcher, kill=kill)
            assert run.killed_at is not None, run.tail()
            found.append(self._ended(point, place))
        return found

    def _place(self, name: str) -> Workplace:
        place = Workplace(self.folder / name)
        self.site.begin(place.path / "hits.jsonl")
        return place

    def _ended(self, point: int, place: Workplace) -> Ended:
        extra = {"KINDS_EXIT_AT_WRITE": str(point)}
        run = crawl(self.spider, site=self.site, place=place, launcher=self.launcher, extra=extra)
        reached = run.exit_code == EXIT_CODE
        assert reached or run.is_finished, run.tail()
        if reached and not is_completed(place, self.spider):
            crawl_through(self.spider, [], site=self.site, place=place, launcher=self.launcher)
        difference = compare(self.expected, stored_items(place, self.spider))
        return Ended(point, reached, difference, damaged_files(place.store))
