"""Images of a recorded disk after a power cut; a seed and a number give one again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.power.crawls import ANSWERS, JOB
from tests.power.disk import MODELS, Policies, Tree, differences
from tests.power.recordings import Recording

GROUPS = (
    (f"store/{JOB}.sqlite3",),
    ("out/items", "shared/s", "shared/o", "batches/1", "batches/2", "batches/3"),
    ("out/.", "shared/.", "batches/."),
    ("events/",),
)
"""The store, the feeds, the notes beside them, the event log."""


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
    begun: frozenset[str]
    """The processes that had begun by then."""
    ended: frozenset[str]
    """And those that had ended."""
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
    return Image(
        seed=seed,
        number=number,
        model=model,
        count=count,
        tree=left,
        answers=answers,
        begun=frozenset(recording.begun(count)),
        ended=frozenset(recording.ended(count)),
        losses=tuple(differences(seen, left)),
    )


def moment(chance: random.Random, recording: Recording) -> int:
    """When the power goes: at any event, or just after one that changes a name or syncs."""
    first, last = recording.first, recording.last
    if chance.random() < 0.5:
        return chance.randint(first, last)
    turns = [n for n in range(first, last + 1) if recording.events[n - 1].kind != "w"]
    return min(last, chance.choice(turns) + chance.randint(0, 3))
