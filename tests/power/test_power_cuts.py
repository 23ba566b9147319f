"""A job goes on with whatever a power cut left of its disk, as if nothing had happened.

What a file system may leave is in ``disk``'s docstring, what has to come of it in ``judges``. The
messages of a failure name image and seed; ``python -m tests.power.again`` makes them again.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.power.bench import COMMANDS, RETRIED, Bench
from tests.power.crawls import ANSWERS
from tests.power.disk import Tree
from tests.power.images import Image, image

pytestmark = pytest.mark.sqlite("it is about the files of a job")

SEED = 1
IN_SUITE = {"normal": 8, "full": 4, COMMANDS: 3}

IN_SOAK = {
    **{name: range(100, 104) for name in ("normal", "full")},
    **{f"{name}+{number}": [100] for name in ("normal", "full") for number in range(1, 6)},
    COMMANDS: [100, 101],
    RETRIED: [100],
}
"""Seeds of 50 images each; of 20 each after a second power cut."""


def judged(bench: Bench, name: str, seed: int, count: int) -> list[str]:
    recording, judge = bench.recording(name), bench.judge(name)
    return judge.judged(image(recording, seed, number) for number in range(count))


@pytest.mark.parametrize("name", IN_SUITE)
def test_a_job_goes_on_after_a_power_cut(name: str, bench: Bench) -> None:
    assert judged(bench, name, SEED, IN_SUITE[name]) == []


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("name", "seed"), [(name, seed) for name, seeds in IN_SOAK.items() for seed in seeds]
)
def test_a_job_goes_on_after_any_power_cut(name: str, seed: int, bench: Bench) -> None:
    """300 images of each durability."""
    assert judged(bench, name, seed, 20 if "+" in name else 50) == []


def seen(bench: Bench, name: str, ended: str | None = None, changed: Tree | None = None) -> Image:
    """The disk as processes saw it when a process had ended (the last one), with other feeds;
    ``None`` takes one away."""
    recording = bench.recording(name)
    counts = [end.count for end in recording.ends if ended in (None, end.what)]
    disk = recording.disk(counts[-1])
    tree = {**disk.seen(), **(changed or {})}
    kept = {path: found for path, found in tree.items() if path not in (changed or {}) or found}
    del kept[ANSWERS]
    answers, what = recording.answers(disk), tuple(changed or ())
    return replace(image(recording, SEED, 0), tree=kept, answers=answers, losses=what)


def test_the_judge_lets_pass_what_is_whole(bench: Bench) -> None:
    judge = bench.judge("normal")
    assert judge.judged([seen(bench, "normal"), seen(bench, "normal", "stopped")]) == []


def test_the_judge_finds_what_is_lost_twice_or_torn(bench: Bench) -> None:
    whole = seen(bench, "normal").tree
    lines = (whole["out/items.jsonl"] or b"").splitlines(keepends=True)
    judge, total = bench.judge("normal"), bench.plain.items.total()
    for feed, content, fault in (
        ("out/items.jsonl", b"".join(lines[1:]), f"1 of {total} lost, 0 too many"),
        ("out/items.jsonl", b"".join([*lines, lines[0]]), f"0 of {total} lost, 1 too many"),
        ("out/items.jsonl", b"".join(lines)[:-1], "not whole"),
        ("out/items.json", (whole["out/items.json"] or b"")[:-2], "not whole"),
        ("out/items.csv", None, "not whole: items.csv: FileNotFoundError"),
        ("out/items.jsonl.gz", b"\0" * 4096, "not whole"),
        ("shared/shared.jsonl", b"".join(lines), f"2 of {total + 2} lost, 0 too many"),
    ):
        found = judge.judged([seen(bench, "normal", changed={feed: content})])
        assert len(found) == 1, feed
        assert fault in found[0].partition(feed)[2].partition(feed)[2], found


def test_the_judge_finds_what_is_left_beside_a_feed(bench: Bench) -> None:
    other = {"out/.items.jsonl.0123abcd.resume": b"{}"}
    left = seen(bench, "normal", "stopped", changed=other)
    found = bench.judge("normal").judged([left])
    assert len(found) == 1
    assert "left beside the feeds of a completed job" in found[0]


def test_the_judge_finds_answered_commits_that_are_lost(bench: Bench) -> None:
    """The store as it was when the first run was killed, the answers of the second."""
    killed, stopped = (seen(bench, "full", what) for what in ("killed", "stopped"))
    assert killed.answers["done"] < stopped.answers["done"]
    found = bench.judge("full").judged([killed, replace(killed, answers=stopped.answers)])
    assert len(found) == 1
    assert "answered commits were lost: {'done'" in found[0]
