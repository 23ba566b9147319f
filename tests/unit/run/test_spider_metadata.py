"""What a spider changes in its metadata goes with the next batch, and nothing else does."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from scrapy import Spider

from scrapy_resume.run.spider_metadata import SpiderMetadata
from scrapy_resume.store.contract import Batch, MetadataChange


def spider(**attributes: Any) -> Spider:
    return Spider("books", **attributes)


def changed(metadata: SpiderMetadata) -> MetadataChange | None:
    batch = Batch(next_id=1)
    metadata.complete(batch)
    return batch.progress.metadata


def test_what_was_stored_at_the_opening_is_no_change() -> None:
    books = spider(resume_metadata={"ticket": 7})
    metadata = SpiderMetadata(books, {"team": "x"}, {"team": "x", "ticket": 7})
    assert changed(metadata) is None
    assert changed(SpiderMetadata(spider(), {"team": "x"}, {"team": "x"})) is None


def test_what_a_callback_changes_goes_with_the_next_batch_once() -> None:
    books = spider(resume_metadata={"ticket": 7})
    metadata = SpiderMetadata(books, {"team": "x"}, {"team": "x", "ticket": 7})
    books.resume_metadata["city"] = ["Bonn"]  # type: ignore[attr-defined]
    assert changed(metadata) == MetadataChange({"city": ["Bonn"]}, [])
    assert changed(metadata) is None
    books.resume_metadata["city"].append("Köln")  # type: ignore[attr-defined]
    assert changed(metadata) == MetadataChange({"city": ["Bonn", "Köln"]}, [])
    books.resume_metadata = {"team": "y"}  # type: ignore[attr-defined]
    assert changed(metadata) == MetadataChange({"team": "y"}, ["city", "ticket"])
    books.resume_metadata = None  # type: ignore[attr-defined]
    assert changed(metadata) == MetadataChange({"team": "x"}, [])
    assert metadata.values == {"team": "x"}


@pytest.mark.parametrize("wrong", [5, {1: 2}, {"a": object()}, {"a": float("nan")}, {"a", "b"}])
def test_what_json_cannot_hold_is_said_once_and_changes_nothing(
    wrong: object, caplog: pytest.LogCaptureFixture
) -> None:
    books = spider(resume_metadata={"a": 1})
    metadata = SpiderMetadata(books, {}, {"a": 1})
    books.resume_metadata = wrong  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR):
        assert changed(metadata) is None
        assert changed(metadata) is None
    assert len(caplog.records) == 1
    assert "the job's metadata stays as it was" in caplog.text
    books.resume_metadata = {"a": 2}  # type: ignore[attr-defined]
    assert changed(metadata) == MetadataChange({"a": 2}, [])
