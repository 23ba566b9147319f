"""Tasks that are done by hand: ``remaining``, ``done``, ``fail`` and ``skip``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.stages.stage_run import StageRun


class ByHand:
    """Keeps the tasks that the program has in hand."""

    def __init__(self, run: StageRun) -> None:
        self._run = run
