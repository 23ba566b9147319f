"""What the log and the progress bar say of a stage's run: what they say of a crawl's."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from scrapy.settings import BaseSettings

from scrapy_resume.reporting.nouns import STAGE_NOUNS, Nouns
from scrapy_resume.run.run_log import PROGRESS_TICK_SECONDS, RunLog

if TYPE_CHECKING:
    from scrapy_resume.run.crawl_run import CrawlRun
    from scrapy_resume.stages.groups import TaskGroups
    from scrapy_resume.stages.stage_stats import StageStats
    from scrapy_resume.store.contract import Batch, Committed

logger = logging.getLogger("scrapy_resume")


@dataclass
class StageShown:
    """Where the log finds of a stage what it finds of a crawl in its crawler."""

    stats: StageStats
    settings: BaseSettings = field(default_factory=lambda: log_settings())


def log_settings() -> BaseSettings:
    """If nobody sees the lines of the log, they are printed, or stand in the progress bar."""
    seen = logger.isEnabledFor(logging.INFO) and logger.hasHandlers()
    return BaseSettings({"LOG_ENABLED": seen})


class StageLog(RunLog):
    """``RunLog`` of a stage. The stage ticks."""

    nouns: ClassVar[Nouns] = STAGE_NOUNS

    def __init__(self, run: object, groups: TaskGroups) -> None:
        self._groups = groups
        self._is_due = False
        self._logged_at = 0.0
        super().__init__(cast("CrawlRun", run))

    def looping_call(self) -> Any:
        """Nothing: ``tick`` is called by the run."""
        return SimpleNamespace(running=False)

    def tick(self) -> None:
        """To be called every ``PROGRESS_TICK_SECONDS``."""
        self._tick()

    def committed(self, batch: Batch, answer: Committed) -> None:
        """See ``RunLog``. Groups are units too; that one has nothing open is no news."""
        answer.units = [unit for unit in answer.units if unit.name not in self._groups.met]
        super().committed(batch, answer)
        now = self._clock.monotonic()
        if self._is_due and now - self._logged_at >= PROGRESS_TICK_SECONDS:
            self._is_due, self._logged_at = False, now
            self._log()

    def count_page(self) -> None:
        """Count a task. A line that is due is logged with the next commit that has it, and at most
        once a second: a million tasks may take a minute."""
        self._is_due |= self.page_makes_line_due()
