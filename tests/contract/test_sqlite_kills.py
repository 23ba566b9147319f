"""Death at every statement, from the creation of a job to its close: G1 to G3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "step", [3, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_killed_before_any_statement(tmp_path: Path, step: int) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.contract.killed_at_statements",
        str(tmp_path),
        str(step),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.split()) > 200 / step
