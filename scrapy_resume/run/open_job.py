"""Which job a crawl opens, by ``RESUME_MODE`` and by what the store has of it."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy_resume.errors import (
    InputChangedError,
    JobCompletedError,
    JobLockedError,
    JobNotFoundError,
    StoreError,
)
from scrapy_resume.events.log_files import remove_events
from scrapy_resume.model import JobKey, Selection, State
from scrapy_resume.run.launch import visible
from scrapy_resume.settings.input_files import hash_inputs
from scrapy_resume.store.contract import Closing, Opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.crawler import Crawler

    from scrapy_resume.model import JobSummary
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.store.contract import JobStore, Store

logger = logging.getLogger("scrapy_resume")


def opens_job(crawler: Crawler) -> bool:
    """Whether this is a crawl: ``scrapy crawl``, ``runspider``, or one by API.

    ``fetch``, ``parse`` and ``check`` crawl with a ``start()`` of their own, and ``shell``
    does not crawl at all.
    """
    if not crawler.crawling:
        return False
    module: str = getattr(crawler.spidercls.start, "__module__", "")
    return not module.startswith("scrapy.commands.")


def longest_delay(crawler: Crawler) -> float:
    """Seconds between two requests of a download slot, by Scrapy's settings: the most that the
    downloader may wait, in any slot."""
    settings, spider = crawler.settings, crawler.spider
    delays = [settings.getfloat("DOWNLOAD_DELAY"), getattr(spider, "download_delay", None) or 0.0]
    delays += [
        float(slot["delay"])
        for slot in settings.getdict("DOWNLOAD_SLOTS").values()
        if slot.get("delay") is not None
    ]
    if settings.getbool("AUTOTHROTTLE_ENABLED"):
        delays.append(settings.getfloat("AUTOTHROTTLE_MAX_DELAY"))
    # RANDOMIZE_DOWNLOAD_DELAY: 0.5 to 1.5 times as long.
    return max(delays) * (1.5 if settings.getbool("RANDOMIZE_DOWNLOAD_DELAY") else 1.0)


def worker_name() -> str:
    """``host:pid`` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Candidate:
    """A crawl that looks for its job."""

    name: str
    spider: str
    arguments: Mapping[str, object]
    settings: ResumeSettings
    launch: Mapping[str, object] = field(default_factory=dict)
    """How it was started, see ``launching``."""
    slot_delay_seconds: float = 0.0
    """The longest delay between two requests of a download slot."""

    def opening(self, input_hashes: Mapping[str, str]) -> Opening:
        """What the run says about itself."""
        settings = self.settings
        return Opening(
            spider=self.spider,
            worker=worker_name(),
            arguments=visible(self.arguments),
            launch=dict(self.launch),
            metadata=dict(settings.metadata),
            input_hashes=dict(input_hashes),
            crash_limit=settings.crash_limit,
            durable=settings.durability == "full",
            force=settings.force,
            delta=settings.mode == "delta",
            slots_shared=settings.hosts == "shared",
            slot_delay_seconds=self.slot_delay_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            orphan_seconds=settings.orphan_timeout_seconds,
            stall_seconds=settings.stall_timeout_seconds,
        )


def open_job(store: Store, candidate: Candidate) -> JobStore:
    """Open the job that the crawl goes on with, or begin the next.

    Raises ``JobLockedError``, ``JobNotFoundError`` (modes ``resume``, ``retry-failed``),
    ``JobCompletedError`` (modes ``once``, ``retry-failed``), ``InputChangedError``,
    ``ConfigurationError`` for an input file that cannot be read, and ``StoreError``. A refused
    crawl changes nothing.
    """
    settings = candidate.settings
    with store.door(candidate.name):
        latest = store.latest(candidate.name)
        finished = latest is None or latest.status == "completed"
        renews = _renews(settings.mode, latest)
        joins = store.shared and not renews
        if latest is not None and latest.alive and not (settings.force or joins):
            raise JobLockedError.for_crawl(latest.key, latest.owner, latest.owned_since)
        if settings.mode == "retry-failed":
            return _retry_failed(store, candidate, latest)
        recorded = latest.input_hashes if latest is not None and not finished else {}
        hashes = hash_inputs(settings.input_files, recorded)
        if finished or latest is None:
            _refuse_if_nothing_to_do(candidate, latest)
            return _begin(store, candidate, latest, hashes)
        if renews or _inputs_changed(candidate, latest, hashes):
            _cancel(store, candidate, latest)
            return _begin(store, candidate, latest, hashes)
        return store.resume(latest.key, candidate.opening(hashes))


def _renews(mode: str, latest: JobSummary | None) -> bool:
    """Whether an unfinished job is left behind. A delta crawl that was interrupted goes on."""
    return mode == "fresh" or (mode == "delta" and latest is not None and not latest.delta)


def _retry_failed(store: Store, candidate: Candidate, latest: JobSummary | None) -> JobStore:
    """Go on with the latest job and what has failed of it; a completed one is reopened."""
    if latest is None:
        raise JobNotFoundError(
            f"RESUME_MODE is 'retry-failed', but no job {candidate.name!r} is there. "
            "Use RESUME_MODE=auto, which begins one."
        )
    hashes = hash_inputs(candidate.settings.input_files, latest.input_hashes)
    if _inputs_changed(candidate, latest, hashes):
        logger.warning("It is %s that goes on: RESUME_MODE is 'retry-failed'.", latest.key)
    count = store.steer(latest.key, Selection((State.failed,)), State.pending)
    if not count and latest.status == "completed":
        raise JobCompletedError(
            f"{latest.key} is completed, and none of its requests has failed: nothing to do. "
            "RESUME_MODE=auto begins the next."
        )
    logger.info("%d failed requests of %s are fetched again", count, latest.key)
    return store.resume(latest.key, candidate.opening(hashes))


def _refuse_if_nothing_to_do(candidate: Candidate, latest: JobSummary | None) -> None:
    mode = candidate.settings.mode
    if mode == "resume":
        why = f"{latest.key} is completed" if latest else f"no job {candidate.name!r} is there"
        raise JobNotFoundError(
            f"RESUME_MODE is 'resume', but there is nothing to go on with: {why}. "
            "Use RESUME_MODE=auto, which begins a new one."
        )
    if mode == "once" and latest is not None:
        raise JobCompletedError(
            f"{latest.key} is completed, and RESUME_MODE is 'once': nothing to do. "
            "RESUME_MODE=auto begins the next."
        )


def _inputs_changed(candidate: Candidate, latest: JobSummary, hashes: dict[str, str]) -> bool:
    """Whether a new job is to begin because the inputs are others. Raises or warns."""
    changed = sorted(
        path
        for path in hashes.keys() | latest.input_hashes.keys()
        if hashes.get(path) != latest.input_hashes.get(path)
    )
    if not changed:
        return False
    text = f"{latest.key} began with other input: {', '.join(changed)} changed since. "
    choice = candidate.settings.on_input_change
    if choice == "refuse":
        raise InputChangedError(
            text + "Put the old input back, or begin a new job with RESUME_MODE=fresh, or go on "
            "all the same with RESUME_ON_INPUT_CHANGE=warn."
        )
    if choice == "warn":
        logger.warning("%sThe crawl goes on, as RESUME_ON_INPUT_CHANGE says.", text)
        return False
    logger.warning("%sA new job begins, as RESUME_ON_INPUT_CHANGE says.", text)
    return True


def _cancel(store: Store, candidate: Candidate, latest: JobSummary) -> None:
    if latest.alive:
        # Taking the job over first is what fences its owner.
        job = store.resume(latest.key, candidate.opening(latest.input_hashes))
        job.close(Closing("cancelled", "cancelled"))
    else:
        store.cancel(latest.key)


def _begin(
    store: Store, candidate: Candidate, latest: JobSummary | None, hashes: dict[str, str]
) -> JobStore:
    number = latest.key.number + 1 if latest is not None else 1
    opening = replace(candidate.opening(hashes), force=False)
    job = store.begin(JobKey(candidate.name, number), opening)
    if latest is not None:
        try:
            job.session.events.of_previous_job = store.undelivered_events(latest.key)
        except StoreError as error:
            logger.warning("What %s has left to be told cannot be read: %s", latest.key, error)
    for key in store.prune(candidate.name, candidate.settings.keep):
        remove_events(Path(candidate.settings.event_directory), key)
        logger.info("%s is deleted: RESUME_KEEP keeps %d", key, candidate.settings.keep)
    return job
