"""A job goes on with whatever a power cut left of its disk, as if nothing had happened.

What a file system may leave is in ``disk``'s docstring, what has to come of it in ``judges``. The
messages of a failure name image and seed; ``python -m tests.power.again`` makes them again.
"""

from __future__ import annotations

import pytest

from tests.power.bench import COMMANDS, Bench
from tests.power.images import image

pytestmark = pytest.mark.sqlite("it is about the files of a job")

SEED = 1
IN_SUITE = {"normal": 16, "full": 14, COMMANDS: 10}
IN_SOAK = 50
SOAK_SEEDS = {"normal": range(100, 106), "full": range(200, 206), COMMANDS: range(300, 303)}


def judged(bench: Bench, name: str, seed: int, count: int) -> list[str]:
    recording, judge = bench.recording(name), bench.judge(name)
    return judge.judged(image(recording, seed, number) for number in range(count))


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_a_job_goes_on_after_a_power_cut(durability: str, bench: Bench) -> None:
    assert judged(bench, durability, SEED, IN_SUITE[durability]) == []


def test_backup_reset_and_restore_survive_a_power_cut(bench: Bench) -> None:
    assert judged(bench, COMMANDS, SEED, IN_SUITE[COMMANDS]) == []


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("name", "seed"), [(name, seed) for name, seeds in SOAK_SEEDS.items() for seed in seeds]
)
def test_after_any_power_cut_all_is_whole(name: str, seed: int, bench: Bench) -> None:
    """300 images of each durability, 150 of the commands."""
    assert judged(bench, name, seed, IN_SOAK) == []


def test_the_judge_finds_what_is_wrong(bench: Bench) -> None:
    """A judge that lets everything pass would make the other tests worthless."""
