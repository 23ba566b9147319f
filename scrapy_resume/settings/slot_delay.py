"""The delay between two requests of a download slot, as Scrapy's settings give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.settings import SETTINGS_PRIORITIES, default_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Spider
    from scrapy.settings import BaseSettings

RANDOMIZED = 0.5
"""The jitter that RANDOMIZE_DOWNLOAD_DELAY stands for: a delay varies from 0.5 to 1.5 times its
length."""


def longest_slot_delay(settings: BaseSettings, spider: Spider) -> float:
    """The longest time in seconds that the downloader may wait between two requests of one slot,
    whichever slot that is."""
    jitter = _default_jitter(settings)
    delay = max(settings.getfloat("DOWNLOAD_DELAY"), getattr(spider, "download_delay", None) or 0.0)
    throttled = 0.0
    if settings.getbool("AUTOTHROTTLE_ENABLED"):
        throttled = settings.getfloat("AUTOTHROTTLE_MAX_DELAY")
    longest = max(delay, throttled) * (1 + jitter)
    for slot in settings.getdict("DOWNLOAD_SLOTS").values():
        own = slot.get("delay")
        own_delay = delay if own is None else float(own)
        longest = max(longest, max(own_delay, throttled) * (1 + _slot_jitter(slot, jitter)))
    return longest


def _default_jitter(settings: BaseSettings) -> float:
    """By which share of its length a delay varies in slots that don't say so themselves.

    Scrapy 2.19 has DOWNLOAD_DELAY_JITTER, and takes the deprecated RANDOMIZE_DOWNLOAD_DELAY if that
    is set with a higher priority; its predecessors know RANDOMIZE_DOWNLOAD_DELAY alone.
    """
    randomized = RANDOMIZED if settings.getbool("RANDOMIZE_DOWNLOAD_DELAY") else 0.0
    if not hasattr(default_settings, "DOWNLOAD_DELAY_JITTER"):
        return randomized
    deprecated = settings.getpriority("RANDOMIZE_DOWNLOAD_DELAY") or 0
    current = settings.getpriority("DOWNLOAD_DELAY_JITTER") or 0
    if deprecated > max(current, SETTINGS_PRIORITIES["default"]):
        return randomized
    return settings.getfloat("DOWNLOAD_DELAY_JITTER")


def _slot_jitter(slot: Mapping[str, Any], jitter: float) -> float:
    """By which share of its length the delay of an entry of DOWNLOAD_SLOTS varies."""
    if "jitter" in slot and hasattr(default_settings, "DOWNLOAD_DELAY_JITTER"):
        return float(slot["jitter"])
    if "randomize_delay" in slot:
        return RANDOMIZED if slot["randomize_delay"] else 0.0
    return jitter
