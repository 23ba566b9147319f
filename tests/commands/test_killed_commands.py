"""A command that is killed leaves nothing half done that nobody finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.killed_at_operations import SCENARIOS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.soak)])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_before_any_operation_on_a_file(tmp_path: Path, scenario: str, step: int) -> None:
    program = [sys.executable, "-m", "tests.commands.killed_at_operations"]
    result = subprocess.run(
        [*program, str(tmp_path), scenario, str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.split()) > 8 / step
