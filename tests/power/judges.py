"""What becomes of a job that goes on with an image of its disk after a power cut."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scrapy_resume.errors import ResumeError
from scrapy_resume.events.log_files import read_events
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.power.crawls import BATCHES, SPIDER, Crawls, Plain, put
from tests.power.images import Image
from tests.support.oracles import compare, damaged_files
from tests.support.runs import Workplace, stored_items

COUNTS = ("done", "failed", "parked", "ignored", "stored")
"""What can only grow while a crawl goes on."""

KEY = JobKey(SPIDER, 1)

BACKUPS = ("backups/killed.backup", "backups/stopped.backup")
RESET, RESTORE = "reset", "restore"
"""What the processes of the commands are called."""


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a job that went on with an image; nothing, if there are no faults."""

    image: Image
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.image}: {'; '.join(self.faults) or 'whole'}"


@dataclass(frozen=True)
class Judge:
    """Lets jobs go on with images, on the disk where they were recorded."""

    crawls: Crawls
    plain: Plain

    def judged(self, images: Iterable[Image]) -> list[str]:
        """The verdicts on those that did not become whole."""
        verdicts = (self.verdict(one) for one in images)
        return [str(one) for one in verdicts if one.faults]

    def verdict(self, one: Image) -> Verdict:
        """Goes on with an image until the job is completed."""
        put(one.tree, self.crawls.disk)
        return Verdict(one, tuple(self._faults(one)))

    def _faults(self, one: Image) -> Iterator[str]:
        if self.crawls.durability == "full":
            yield from self._lost_answers(one)
        went_on = self.crawls.status() != "completed"
        yield from self._resumed()
        yield from self._feeds()
        if went_on:
            yield from self._left_beside_feeds()

    def _lost_answers(self, one: Image) -> Iterator[str]:
        if not one.answers:
            return
        jobs = self.crawls.jobs()
        known = {**jobs[0]["requests"], **jobs[0]["items"]} if jobs else {}
        lost = {name: one.answers[name] - known.get(name, 0) for name in COUNTS}
        gone = {name: count for name, count in lost.items() if count > 0}
        if gone:
            yield f"answered commits were lost: {gone}" + ("" if jobs else " (with the job)")

    def _resumed(self) -> Iterator[str]:
        """As the user does: the same command again, unless the job is completed already."""
        if self.crawls.status() != "completed":
            run = self.crawls.run()
            if run.exit_code != 0:
                yield f"exit code {run.exit_code}: {last_words(run.text)}"
            if "Traceback" in run.text:
                yield f"a traceback in {run.log}"
        shown = [(job["number"], job["status"]) for job in self.crawls.jobs()]
        if shown == [(1, "completed")]:
            yield from self._store()
        else:
            yield f"jobs {shown}"

    def _store(self) -> Iterator[str]:
        """What is wrong with a job that is completed, and with its event log."""
        items = stored_items(Workplace(self.crawls.disk), SPIDER)
        if items != self.plain.items:
            yield f"the store: {compare(self.plain.items, items)}"[:200]
        yield from damaged_files(self.crawls.store)
        yield from map(str, open_location(str(self.crawls.store)).verify(KEY).violations)
        events = list(read_events(self.crawls.disk / "events", KEY))
        if not all("type" in event and "time" in event for event in events):
            yield "the event log has lines that are no events"

    def _feeds(self) -> Iterator[str]:
        for name, there in self.crawls.contents().items():
            items = self.plain.feeds[name]
            if not isinstance(there, Counter):
                yield f"{name} is not whole: {there}"
            elif isinstance(items, Counter) and there != items:
                lost, more = (items - there).total(), (there - items).total()
                yield f"{name}: {lost} of {items.total()} lost, {more} too many"

    def _left_beside_feeds(self) -> Iterator[str]:
        """What a job that has gone on leaves. (Nobody opens the feeds of one that was completed
        before: what the power cut has brought back beside them stays.)"""
        # A batch that is full is not looked at again: a note that came back beside it stays there.
        feeds = self.crawls.feeds.keys() - BATCHES.keys()
        folders = {(self.crawls.disk / name).parent for name in feeds}
        left = [path.name for folder in sorted(folders) for path in folder.glob(".*")]
        if left:
            yield f"left beside the feeds of a completed job: {left}"


class CommandJudge(Judge):
    """Judges images of a job that is backed up, deleted and restored.

    What a command has done when it ended survives. A job that is being deleted or restored is
    there, whole, or it is not there at all: then the crawl begins anew. Feeds outlive a job that
    was deleted, so they are looked at where it is there.
    """

    def _faults(self, one: Image) -> Iterator[str]:
        for backup in BACKUPS:
            yield from self._backup(backup, is_due=backup in one.ended)
        is_there = bool(self.crawls.jobs())
        if not is_there and (RESET not in one.begun or RESTORE in one.ended):
            yield "the job is gone"
        if is_there and RESET in one.ended and RESTORE not in one.begun:
            yield "the job is back"
        yield from self._resumed()
        if is_there:
            yield from self._feeds()

    def _backup(self, name: str, *, is_due: bool) -> Iterator[str]:
        """What is wrong with a backup, which may be missing until it is due."""
        path = self.crawls.disk / name
        if not path.exists():
            if is_due:
                yield f"{name} is gone"
            return
        other = self.crawls.aside / "restored"
        shutil.rmtree(other, ignore_errors=True)
        try:
            store = open_location(str(other))
            key = store.restore(path)
            yield from (f"{name}: {violation}" for violation in store.verify(key).violations)
        except ResumeError as error:
            yield f"{name} cannot be restored: {error}"


def last_words(text: str) -> str:
    """The last line of a log that is an error."""
    errors = [line for line in text.splitlines() if "ERROR" in line or "Error" in line]
    return (errors or text.splitlines() or ["nothing"])[-1][:300]
