from __future__ import annotations

from scrapy_resume.feeds.claim import Claim
from scrapy_resume.feeds.feed_record import FeedRecord, Phase, decode_record, encode_record


def test_a_record_comes_back_from_the_store_as_it_was() -> None:
    record = FeedRecord(
        "items.jsonl",
        "00",
        batch=3,
        fields=("a", "b"),
        phase=Phase.stored,
        claim=Claim(((0, 5), (7, 9)), "11", "22"),
        ending=(9, 10),
    )
    again = decode_record(encode_record(record))
    assert encode_record(again) == encode_record(record)
