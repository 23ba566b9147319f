"""Death at every statement, from the creation of a job to its close: G1 to G3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


EVERY_ONE = pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])


def lines_of(program: str, directory: Path, step: int) -> list[str]:
    """What a program of this package prints, which must end well."""
    command = [sys.executable, "-m", f"tests.contract.{program}", str(directory), str(step)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("step", [7, EVERY_ONE])
def test_killed_before_any_statement(tmp_path: Path, step: int) -> None:
    assert len(lines_of("killed_at_statements", tmp_path, step)) > 200 / step


@pytest.mark.parametrize("step", [13, EVERY_ONE])
def test_killed_while_steps_are_leased_merged_and_ended(tmp_path: Path, step: int) -> None:
    assert len(lines_of("killed_in_steps", tmp_path, step)) > 150 / step


@pytest.mark.parametrize("step", [5, EVERY_ONE])
def test_killed_in_a_command_leaves_the_job_as_it_was_or_as_it_is_to_be(
    tmp_path: Path, step: int
) -> None:
    steps = [
        int(line.rpartition(" ")[2]) for line in lines_of("killed_in_commands", tmp_path, step)
    ]
    assert len(steps) == 6
    assert min(steps) >= 20
