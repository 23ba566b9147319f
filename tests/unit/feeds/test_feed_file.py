"""What the store has to have, synced, before a feed's file is changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Spider
from scrapy.exporters import JsonItemExporter
from scrapy.extensions.feedexport import FeedSlot, FileFeedStorage, ItemFilter

from scrapy_resume.feeds.committed_items import Portion
from scrapy_resume.feeds.context import FeedPlan
from scrapy_resume.feeds.destination import DestinationOptions
from scrapy_resume.feeds.feed_file import FeedFile
from scrapy_resume.feeds.feed_record import FeedRecord, Phase
from scrapy_resume.feeds.ownership_note import NoteFile
from tests.support.coroutines import result_of


class Store:
    """Stands for the context: keeps records, and says what is synced when it answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = SimpleNamespace(superseded=0)
        self.unsaved: list[tuple[FeedRecord, bool]] = []
        self.synced: list[tuple[FeedRecord, bytes | None, bool]] = []
        """Record; what was in the feed when it was committed; whether there was a note."""

    def destination_options(self, feed: FeedPlan) -> DestinationOptions:
        return DestinationOptions(
            spider=Spider("one"),
            owner=lambda path: "one",
            in_thread=self.in_thread,
            post_processed=False,
            overwrite=feed.options["overwrite"],
            fence=False,
            is_first=True,
        )

    async def in_thread(self, call: Callable[[], Any]) -> Any:
        return call()

    def save(
        self, feed: FeedPlan, record: FeedRecord, *, settled: bool = False, durable: bool = False
    ) -> None:
        self.unsaved.append((record, durable))

    async def saved(self) -> None:
        (*_, (record, durable)) = self.unsaved
        if durable:
            content = self.path.read_bytes() if self.path.exists() else None
            self.synced.append((record, content, NoteFile(self.path, "one").path.exists()))

    def can_be_written(self, uri: str) -> None:
        """Nobody waits."""


def feed_file(path: Path, *, overwrite: bool) -> tuple[FeedFile, Store]:
    store = Store(path)

    def new_slot(record: FeedRecord) -> FeedSlot:
        return FeedSlot(
            FileFeedStorage(str(path), feed_options={"overwrite": overwrite}),
            record.uri,
            "json",
            store_empty=True,
            batch_id=1,
            uri_template=record.uri,
            filter=ItemFilter({}),
            feed_options={
                "format": "json",
                "encoding": None,
                "fields": None,
                "indent": None,
                "item_export_kwargs": {},
            },
            spider=Spider("one"),
            exporters={"json": JsonItemExporter},
            settings={},
            crawler=SimpleNamespace(),
        )

    options = {"batch_item_count": 0, "overwrite": overwrite}
    plan = FeedPlan("items", options, "00", lambda slot: "items", new_slot)
    context: Any = store
    return FeedFile(context, plan, FeedRecord("items", "00")), store


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_store_knows_where_a_feed_begins_before_its_first_byte(
    tmp_path: Path, overwrite: bool
) -> None:
    path = tmp_path / "items.json"
    path.write_bytes(b"before\n")
    file, store = feed_file(path, overwrite=overwrite)
    result_of(file.resume())
    result_of(file.export(Portion([1], [{"a": 1}], through=1, superseded=0)))
    ((record, content, has_note),) = store.synced
    assert (record.base, record.phase) == (0 if overwrite else 7, Phase.open)
    assert (content, has_note) == (b"before\n", False)
    # Without a note nothing of the job is in the file yet.
    assert not record.noted
    result_of(file.start_over())
    record, content, _ = store.synced[-1]
    assert not record.claim.ranges
    assert content is not None
    assert b'{"a": 1}' in content  # it is removed after that


def test_what_ends_a_feed_is_synced_with_the_commit_that_says_so(tmp_path: Path) -> None:
    file, store = feed_file(tmp_path / "items.json", overwrite=False)
    result_of(file.resume())
    result_of(file.export(Portion([1], [{"a": 1}], through=1, superseded=0)))
    result_of(file.finish())
    assert store.unsaved[-1] == (file.record, True)
    file.save_without_note()
    assert store.unsaved[-1] == (file.record, True)
    assert not file.record.noted
