"""Ids of new rows. They ascend within a run, and no two rows of a job have the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commits.committer import Committer
    from scrapy_resume.store.contract import RowIds


class IdSequence:
    """The ids of one run: ``first``, ``first + step``, and so on. Runs that work on the same job at
    the same time have different first ids and the same step, so their ids never collide."""

    def __init__(self, ids: RowIds, committer: Committer) -> None:
        self._next_id = ids.first
        self._step = ids.step
        self._committer = committer

    def new(self) -> int:
        """The next id. The batch that is being collected takes note of the one after it."""
        taken = self._next_id
        self._next_id += self._step
        self._committer.batch.next_id = self._next_id
        return taken

    def advance_to(self, next_id: int) -> None:
        """Skip the ids below ``next_id``, which other workers have reached."""
        behind = next_id - self._next_id
        if behind > 0:
            self._next_id += -(-behind // self._step) * self._step
