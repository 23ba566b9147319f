"""The files of a feed are opened as Scrapy's exporter opens them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scrapy import Spider
from scrapy.extensions.feedexport import FeedExporter
from scrapy.utils.test import get_crawler

from scrapy_resume.engine.feed_slots import SlotMakingExporter
from scrapy_resume.errors import ScrapyChangedError


def exporter_of(**feeds: dict[str, Any]) -> SlotMakingExporter:
    crawler = get_crawler(settings_dict={"FEEDS": feeds})
    crawler.spider = Spider.from_crawler(crawler, name="books")
    return SlotMakingExporter(crawler)


def test_the_parameters_of_the_first_file_are_scrapy_s() -> None:
    exporter = exporter_of(**{"items-%(batch_id)d.jsonl": {"format": "jsonlines"}})
    (options,) = exporter.feeds.values()
    parameters = exporter.uri_parameters(options, None)
    assert (parameters["name"], parameters["batch_id"]) == ("books", 1)


def test_the_next_file_has_the_next_number(tmp_path: Path) -> None:
    template = f"{tmp_path}/items-%(batch_id)d.jsonl"
    exporter = exporter_of(**{template: {"format": "jsonlines"}})
    (options,) = exporter.feeds.values()
    slot = exporter.open_slot(template, options, 1, f"{tmp_path}/items-1.jsonl")
    assert exporter.uri_parameters(options, slot)["batch_id"] == 2


def test_a_slot_writes_the_file_of_its_uri(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    exporter = exporter_of(**{str(path): {"format": "jsonlines"}})
    (options,) = exporter.feeds.values()
    slot = exporter.open_slot(str(path), options, 1, str(path))
    slot.start_exporting()
    slot.exporter.export_item({"id": 1})
    slot.finish_exporting()
    slot.file.close()
    assert path.read_text() == '{"id": 1}\n'


def test_a_scrapy_without_the_private_methods_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FeedExporter, "_start_new_batch")
    with pytest.raises(ScrapyChangedError, match=r"no FeedExporter\._start_new_batch"):
        exporter_of(**{"items.jsonl": {"format": "jsonlines"}})
