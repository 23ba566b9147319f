"""No file that the package writes follows what somebody has put in its place before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("attacks", "least"),
    [
        ("together", 3),
        pytest.param("each", 80, marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
def test_what_was_planted_is_not_written_to(tmp_path: Path, attacks: str, least: int) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.crash.planted", str(tmp_path), attacks],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.splitlines()) >= least
