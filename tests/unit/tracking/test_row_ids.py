"""Ids of rows: no two runs that work on the same job choose the same one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from scrapy_resume.commits.committer import Committer
from scrapy_resume.store.contract import Batch, RowIds
from scrapy_resume.tracking.row_ids import IdSequence


def committer() -> Committer:
    return cast(Committer, SimpleNamespace(batch=Batch(next_id=0)))


def test_ids_ascend_by_the_step_and_the_batch_knows_the_next_one() -> None:
    collecting = committer()
    ids = IdSequence(RowIds(first=7, step=10), collecting)
    assert [ids.new() for _ in range(3)] == [7, 17, 27]
    assert collecting.batch.next_id == 37


@pytest.mark.parametrize(
    ("reached", "next_id"), [(0, 7), (7, 7), (8, 17), (17, 17), (18, 27), (1_000, 1_007)]
)
def test_what_others_have_reached_is_skipped_in_whole_steps(reached: int, next_id: int) -> None:
    ids = IdSequence(RowIds(first=7, step=10), committer())
    ids.advance_to(reached)
    assert ids.new() == next_id


def test_runs_with_the_same_step_never_choose_the_same_id() -> None:
    runs = [IdSequence(RowIds(first=first, step=3), committer()) for first in (1, 2, 3)]
    chosen = [run.new() for run in runs for _ in range(5)]
    runs[0].advance_to(max(chosen) + 1)
    chosen += [run.new() for run in runs for _ in range(5)]
    assert len(set(chosen)) == len(chosen)
