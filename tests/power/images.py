"""Images of a recorded disk after a power cut, and what becomes of a job that goes on with one.

``tests/power/again.py`` makes an image of a failed test again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scrapy_resume.events.log_files import read_events
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.power.crawls import ANSWERS, SPIDER, Crawls, Feeds, Plain, put
from tests.power.disk import MODELS, Policies, Tree
from tests.power.disk import differences as lost
from tests.power.recordings import Recording
from tests.support.oracles import compare, damaged_files
from tests.support.runs import Workplace, stored_items

GROUPS = (("store/soak#1.sqlite3",), ("out/items", "shared/"), ("out/.", "shared/."), ("events/",))
"""The store, the feeds, the notes beside them, the event log."""

COUNTS = ("done", "failed", "parked", "ignored", "stored")
"""What can only grow while a crawl goes on."""

KEY = JobKey(SPIDER, 1)


@dataclass(frozen=True)
class Image:
    """A state of the disk after a power cut. ``seed`` and ``number`` give it again."""

    seed: int
    number: int
    model: str
    count: int
    """The power went after so many events."""
    tree: Tree
    answers: dict[str, int]
    """What had been answered as kept."""
    losses: tuple[str, ...]
    """How it differs from what processes saw."""

    def __str__(self) -> str:
        what = "; ".join(self.losses) or "as processes saw it"
        return (
            f"image {self.number} of seed {self.seed} ({self.model}, {self.count} events): {what}"
        )


def image(recording: Recording, seed: int, number: int) -> Image:
    """One of the images of a recording; seed and number decide which."""
    chance = random.Random(f"{seed} {number}")
    model = MODELS[number % len(MODELS)]
    count = moment(chance, recording)
    disk = recording.disk(count)
    left, seen = disk.left(chance, model, Policies(chance, GROUPS)), disk.seen()
    answers = recording.answers(disk)
    for tree in (left, seen):
        tree.pop(ANSWERS, None)
    return Image(seed, number, model, count, left, answers, tuple(lost(seen, left)))


def moment(chance: random.Random, recording: Recording) -> int:
    """When the power goes: at any event, or just after one that changes a name or syncs."""
    events = recording.events
    if chance.random() < 0.5:
        return chance.randint(1, len(events))
    turns = [number for number, event in enumerate(events, 1) if event.kind != "w"]
    return min(len(events), chance.choice(turns) + chance.randint(0, 3))


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
    is_durable: bool

    def judged(self, images: Iterable[Image]) -> list[Verdict]:
        """The verdicts on those that did not become whole."""
        verdicts = (self.verdict(one) for one in images)
        return [one for one in verdicts if one.faults]

    def verdict(self, one: Image) -> Verdict:
        """Goes on with an image until the job is completed."""
        put(one.tree, self.crawls.disk)
        faults = [*self._lost_answers(one), *self._resumed()]
        return Verdict(one, tuple(faults))

    def _lost_answers(self, one: Image) -> Iterator[str]:
        if not self.is_durable or not one.answers:
            return
        jobs = self.crawls.jobs()
        known = {**jobs[0]["requests"], **jobs[0]["items"]} if jobs else {}
        lost = {name: one.answers[name] - known.get(name, 0) for name in COUNTS}
        gone = {name: count for name, count in lost.items() if count > 0}
        if gone:
            yield f"answered commits were lost: {gone}" + ("" if jobs else " (with the job)")

    def _resumed(self) -> Iterator[str]:
        """As the user does: the same command again, unless the job is completed already."""
        jobs = self.crawls.jobs()
        if not (jobs and jobs[0]["status"] == "completed"):
            run = self.crawls.run()
            if run.exit_code != 0:
                yield f"exit code {run.exit_code}: {last_words(run.text)}"
            if "Traceback" in run.text:
                yield f"a traceback in {run.log}"
        yield from self._whole()

    def _whole(self) -> Iterator[str]:
        jobs = self.crawls.jobs()
        shown = [(job["number"], job["status"]) for job in jobs]
        if shown != [(1, "completed")]:
            yield f"jobs {shown}"
            return
        items = stored_items(Workplace(self.crawls.disk), SPIDER)
        if items != self.plain.items:
            yield f"the store: {compare(self.plain.items, items)}"[:200]
        yield from damaged_files(self.crawls.store)
        yield from open_location(str(self.crawls.store)).verify(KEY).violations
        yield from differences(self.plain.feeds, self.crawls.feeds())
        events = list(read_events(self.crawls.disk / "events", KEY))
        if not all("type" in event and "time" in event for event in events):
            yield "the event log has lines that are no events"


def differences(expected: Feeds, found: Feeds) -> Iterator[str]:
    """What is wrong with feeds."""
    for name, items in expected.items():
        there = found[name]
        if not isinstance(there, Counter):
            yield f"{name} is not whole: {there}"
        elif there != items:
            assert isinstance(items, Counter)
            lost, twice = items - there, there - items
            yield f"{name}: {lost.total()} of {items.total()} lost, {twice.total()} too many"


def last_words(text: str) -> str:
    """The last line of a log that is an error."""
    errors = [line for line in text.splitlines() if "ERROR" in line or "Error" in line]
    return (errors or text.splitlines() or ["nothing"])[-1][:300]
