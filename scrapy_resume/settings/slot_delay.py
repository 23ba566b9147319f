"""The delay between two requests of a download slot, as Scrapy's settings give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.settings import BaseSettings

RANDOMIZED_SHARE = 1.5
"""RANDOMIZE_DOWNLOAD_DELAY varies a delay from 0.5 to 1.5 times its length."""


def longest_slot_delay(settings: BaseSettings, spider: Spider) -> float:
    """The longest time in seconds that the downloader may wait between two requests of one slot,
    whichever slot that is."""
    delays = [settings.getfloat("DOWNLOAD_DELAY"), getattr(spider, "download_delay", None) or 0.0]
    delays += [
        float(slot["delay"])
        for slot in settings.getdict("DOWNLOAD_SLOTS").values()
        if slot.get("delay") is not None
    ]
    if settings.getbool("AUTOTHROTTLE_ENABLED"):
        delays.append(settings.getfloat("AUTOTHROTTLE_MAX_DELAY"))
    return max(delays) * (RANDOMIZED_SHARE if settings.getbool("RANDOMIZE_DOWNLOAD_DELAY") else 1.0)
