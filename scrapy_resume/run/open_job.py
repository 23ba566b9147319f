"""Opens the job of a crawl: RESUME_MODE and the latest job of its name decide which one."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from scrapy_resume.codec.name_history import NameHistory
from scrapy_resume.errors import (
    ConfigurationError,
    JobCompletedError,
    JobLockedError,
    JobNotFoundError,
    StoreError,
)
from scrapy_resume.events.log_files import remove_events
from scrapy_resume.model import CRAWL, STAGE, JobKey, Selection, State
from scrapy_resume.politeness.host_breaker import wait_limits
from scrapy_resume.reporting import times
from scrapy_resume.run.crawl_end import EndOwedError, processes_owing
from scrapy_resume.run.launch import masked
from scrapy_resume.run.pruning import prune
from scrapy_resume.run.worker_name import process_id, worker_name
from scrapy_resume.settings.input_files import (
    OF_CRAWLS,
    OF_STAGES,
    Ways,
    begins_new_job,
    changed_inputs,
    hash_inputs,
)
from scrapy_resume.settings.parse import EXTENDS_START
from scrapy_resume.store.contract import Closing, Opening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.model import JobSummary
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.store.contract import JobStore, Session, Store

logger = logging.getLogger("scrapy_resume")


NAMES: Final = "names"
"""Where the names that the code of its runs had are kept, in the launch of a job."""

END_OWED_SECONDS: Final = 3_600.0
"""So long after a job was completed a start counts as another try of the crawl that completed it,
if that one's process has died before its end."""


class Candidate(Struct, frozen=True):
    """A crawl that is about to open a job."""

    name: str
    spider: str
    arguments: Mapping[str, object]
    settings: ResumeSettings
    launch: Mapping[str, object] = field(default_factory=dict)
    """How it was started, see ``launch``."""
    names: NameHistory = field(default_factory=NameHistory)
    """Those of its code."""
    slot_delay_seconds: float = 0.0
    """The longest delay between two requests of a download slot."""

    extends: bool = False
    """What ``start()`` yields is fetched again, in this job."""
    kind: str = CRAWL
    """``STAGE``: it is no crawl."""

    def opening(self, input_hashes: Mapping[str, str], latest: JobSummary | None = None) -> Opening:
        """The description of the run for the store. ``latest``: the job that it resumes."""
        settings = self.settings
        if latest is not None:
            self.names.recall((latest.launch or {}).get(NAMES))
        return Opening(
            spider=self.spider,
            worker=worker_name(),
            arguments=masked(self.arguments),
            launch={**self.launch, NAMES: self.names.record()} if self.launch else {},
            metadata=dict(settings.metadata),
            input_hashes=dict(input_hashes),
            crash_limit=settings.crash_limit,
            durable=settings.durability == "full",
            force=settings.force,
            delta=settings.mode == "delta",
            extend=self.extends,
            only_retried=settings.mode == "retry-failed",
            skip=settings.skip,
            limits=wait_limits(settings.retry_delay_max_seconds, settings.breaker_cooldown_seconds),
            slots_shared=settings.hosts == "shared",
            slot_delay_seconds=self.slot_delay_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            orphan_seconds=settings.orphan_timeout_seconds,
            stall_seconds=settings.stall_timeout_seconds,
        )


def open_job(store: Store, candidate: Candidate) -> JobStore:
    """Resume the latest job, or begin the next one and delete those that RESUME_KEEP does not keep.

    Raises ``JobLockedError``, ``JobNotFoundError`` (modes ``resume``, ``retry-failed``),
    ``JobCompletedError`` (modes ``once``, ``retry-failed``), ``InputChangedError``,
    ``ConfigurationError`` for an input file that cannot be read, and ``StoreError``. A crawl
    that is refused changes nothing in the store.
    """
    job = _opened(store, candidate)
    if job.session.began:
        _prune(store, candidate)
    return job


def _opened(store: Store, candidate: Candidate) -> JobStore:
    settings = candidate.settings
    for leftover in store.remove_leftovers(partial(remove_events, Path(settings.event_directory))):
        logger.warning("%s", leftover.line)
    with store.door(candidate.name):
        restored = store.restore_damaged(candidate.name)
        if restored is not None:
            logger.error("%s", restored.line)
        latest = store.latest(candidate.name)
        if latest is not None and latest.kind != candidate.kind:
            raise _of_other_kind(latest.key, candidate)
        finished = latest is None or latest.status == "completed"
        renews = _renews(settings.mode, latest)
        joins = store.shared and not renews
        if latest is not None and latest.alive and not (settings.force or joins):
            raise JobLockedError.for_crawl(latest.key, latest.owner, latest.owned_since)
        if settings.mode == "retry-failed":
            return _retry_failed(store, candidate, latest)
        candidate = _extending(candidate, latest)
        recorded = latest.input_hashes if latest is not None and not finished else {}
        hashes = hash_inputs(settings.input_files, recorded, _ways(candidate))
        if finished or latest is None:
            _refuse_if_nothing_to_do(candidate, latest)
            if latest is not None and settings.mode == "auto":
                _refuse_if_end_is_owed(store, latest, candidate.kind)
            if latest is not None and candidate.extends:
                return _extend(store, candidate, latest)
            return _begin(store, candidate, latest, hashes)
        if renews or _inputs_changed(candidate, latest, hashes):
            _cancel(store, candidate, latest)
            return _begin(store, candidate, latest, hashes)
        job = store.resume(latest.key, candidate.opening(hashes, latest))
        warn_if_stale(job.session, latest, settings.stale_after_seconds)
        return job


def _of_other_kind(job: JobKey, candidate: Candidate) -> ConfigurationError:
    if candidate.kind == STAGE:
        return ConfigurationError(
            f"{job} is a crawl's job, which no stage can open: give the stage another name than "
            f"{job.name!r}"
        )
    return ConfigurationError(
        f"{job} is a stage's job, which no spider can open: give the crawl another name by "
        "RESUME_JOB, or the stage another name"
    )


def warn_if_stale(session: Session, latest: JobSummary, stale_after_seconds: float) -> None:
    """Warn if the unfinished job that was opened had made no progress for so long."""
    progressed_at = session.progress.progressed_at or latest.created_at
    idle_seconds = (session.now or times.now()) - progressed_at
    if latest.alive or idle_seconds < stale_after_seconds:
        return
    logger.warning(
        "%s was stale: it had made no progress since %s (RESUME_STALE_AFTER is %g s). It goes on "
        "with what it has recorded; what is pending, sessions and seeds may be out of date. "
        "RESUME_MODE=fresh begins a new job instead.",
        latest.key,
        times.iso(progressed_at),
        stale_after_seconds,
    )


def _renews(mode: str, latest: JobSummary | None) -> bool:
    """Whether the next job begins though the latest is unfinished. Mode ``delta`` resumes a delta
    crawl that was interrupted."""
    return mode == "fresh" or (mode == "delta" and latest is not None and not latest.delta)


def _extending(candidate: Candidate, latest: JobSummary | None) -> Candidate:
    """The candidate, which says whether the job is extended: by the mode, or in mode ``auto`` since
    it was extended before. Raises ``ConfigurationError`` with RESUME_START = "once"."""
    settings = candidate.settings
    extended = settings.mode == "auto" and latest is not None and latest.round > 0
    if extended and settings.start == "once":
        raise ConfigurationError(EXTENDS_START)
    return replace(candidate, extends=extended or settings.mode == "extend")


def _extend(store: Store, candidate: Candidate, latest: JobSummary) -> JobStore:
    """Begin the next round of a completed job."""
    hashes = hash_inputs(candidate.settings.input_files, latest.input_hashes, _ways(candidate))
    if _inputs_changed(candidate, latest, hashes):
        _cancel(store, candidate, latest)
        return _begin(store, candidate, latest, hashes)
    logger.info("%s is extended: what start() yields is fetched again", latest.key)
    return store.resume(latest.key, candidate.opening(hashes, latest))


def _retry_failed(store: Store, candidate: Candidate, latest: JobSummary | None) -> JobStore:
    """Resume the latest job with its failed requests pending; a completed job is reopened."""
    if latest is None:
        raise JobNotFoundError(
            f"RESUME_MODE is 'retry-failed', but no job {candidate.name!r} is there. "
            "Use RESUME_MODE=auto, which begins one."
        )
    hashes = hash_inputs(candidate.settings.input_files, latest.input_hashes, _ways(candidate))
    if _inputs_changed(candidate, latest, hashes):
        logger.warning("%s is resumed all the same: RESUME_MODE is 'retry-failed'.", latest.key)
    failed = Selection((State.failed,), dead=False, rounds=candidate.settings.retry_rounds)
    count = store.steer(latest.key, failed, State.pending)
    if not count and latest.status == "completed":
        raise JobCompletedError(
            f"{latest.key} is completed, and none of its requests has failed: nothing to do. "
            "RESUME_MODE=auto begins the next."
        )
    logger.info(
        "%d failed requests of %s are fetched again, and what they lead to. What else is pending "
        "is left to a run with RESUME_MODE=auto",
        count,
        latest.key,
    )
    return store.resume(latest.key, candidate.opening(hashes, latest))


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


def _refuse_if_end_is_owed(store: Store, latest: JobSummary, kind: str) -> None:
    """Raises ``EndOwedError`` if the process that completed the job died before its
    crawl had ended: whoever starts the command again wants that end, and no new crawl. (A program
    may have died hours after its first stage was completed.)"""
    age_seconds = times.now() - (latest.completed_at or 0.0)
    if kind != STAGE and age_seconds > END_OWED_SECONDS:
        return
    notes = store.undelivered_events(latest.key)
    if any(process != process_id() for process in processes_owing(latest.key, notes)):
        raise EndOwedError(latest.key, notes)


def _inputs_changed(candidate: Candidate, latest: JobSummary, hashes: Mapping[str, str]) -> bool:
    """Whether a new job is to begin, because the input files of the latest one have changed."""
    changed = changed_inputs(latest.input_hashes, hashes)
    return begins_new_job(candidate.settings.on_input_change, latest.key, changed, _ways(candidate))


def _ways(candidate: Candidate) -> Ways:
    return OF_STAGES if candidate.kind == STAGE else OF_CRAWLS


def _cancel(store: Store, candidate: Candidate, latest: JobSummary) -> None:
    if latest.alive:
        # Taking the job over fences its owner.
        job = store.resume(latest.key, candidate.opening(latest.input_hashes))
        job.close(Closing("cancelled", "cancelled"))
    else:
        store.cancel(latest.key)


def _begin(
    store: Store, candidate: Candidate, latest: JobSummary | None, hashes: Mapping[str, str]
) -> JobStore:
    number = latest.key.number + 1 if latest is not None else 1
    opening = replace(candidate.opening(hashes), force=False)
    job = store.begin(JobKey(candidate.name, number), opening)
    if latest is not None:
        try:
            job.session.events.of_previous_job = store.undelivered_events(latest.key)
        except StoreError as error:
            logger.warning("The undelivered events of %s cannot be read: %s", latest.key, error)
    return job


def _prune(store: Store, candidate: Candidate) -> None:
    forget = partial(remove_events, Path(candidate.settings.event_directory))
    for key in prune(store, candidate.name, candidate.settings.keep, forget):
        logger.info("%s is deleted: RESUME_KEEP keeps %d", key, candidate.settings.keep)
