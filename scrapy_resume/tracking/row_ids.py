"""Ids for new rows: ascending in each run, and never used twice by any."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.store.contract import RowIds


class IdSequence:
    """The ids of one run. Runs that work on one job choose between one another's."""

    def __init__(self, ids: RowIds, committer: Committer) -> None:
        self._next_id = ids.first
        self._step = ids.step
        self._committer = committer

    def new(self) -> int:
        """An id that no row has had."""
        taken = self._next_id
        self._next_id += self._step
        self._committer.batch.next_id = self._next_id
        return taken

    def go_on_from(self, next_id: int) -> None:
        """Choose ids that are not below that one: other workers have come so far."""
        behind = next_id - self._next_id
        if behind > 0:
            self._next_id += -(-behind // self._step) * self._step
