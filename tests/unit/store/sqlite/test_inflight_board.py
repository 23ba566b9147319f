from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scrapy_resume.model import Phase
from scrapy_resume.store.contract import MARKED_AT_MOST
from scrapy_resume.store.sqlite.inflight_board import Board, read_board


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.inflight"


def test_marks_are_read_back(path: Path) -> None:
    board = Board(path, 7)
    board.mark(2**62, Phase.sent)
    board.mark(5, Phase.sent)
    board.mark(5, Phase.answered)
    board.mark(6, Phase.sent)
    board.unmark(6)
    board.unmark(99)
    assert read_board(path, 7) == {2**62: Phase.sent, 5: Phase.answered}


def test_marks_of_another_epoch_do_not_count(path: Path) -> None:
    Board(path, 7).mark(1, Phase.sent)
    assert read_board(path, 6) == {}
    Board(path, 8)
    assert read_board(path, 7) == read_board(path, 8) == {}


def test_a_fenced_owner_marks_on_its_own_board(path: Path) -> None:
    old = Board(path, 1)
    new = Board(path, 2)
    new.mark(1, Phase.sent)
    old.mark(2, Phase.sent)
    assert read_board(path, 2) == {1: Phase.sent}
    old.remove()
    assert path.exists()
    new.remove()
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"x", b"srboard1", b"\0" * 100_000, b"\xff" * 65_560])
def test_a_damaged_board_is_an_empty_one(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_board(path, 1) == {}


def test_no_board_is_an_empty_one(path: Path) -> None:
    assert read_board(path, 1) == {}


def test_a_cut_off_board_is_an_empty_one(path: Path) -> None:
    Board(path, 1).mark(5, Phase.sent)
    os.truncate(path, 1000)
    assert read_board(path, 1) == {}


def test_what_is_beyond_its_capacity_is_not_marked(path: Path) -> None:
    board = Board(path, 1)
    for row in range(1, MARKED_AT_MOST + 100):
        board.mark(row, Phase.sent)
    assert len(read_board(path, 1)) == MARKED_AT_MOST
    for row in range(1, MARKED_AT_MOST + 100):
        board.unmark(row)
    assert read_board(path, 1) == {}
    for row in range(1, MARKED_AT_MOST + 1):
        board.mark(row, Phase.answered)
    assert len(read_board(path, 1)) == MARKED_AT_MOST


def test_marks_go_nowhere_after_the_end(path: Path) -> None:
    board = Board(path, 1)
    board.mark(1, Phase.sent)
    board.close()
    board.mark(2, Phase.sent)
    board.unmark(1)
    assert read_board(path, 1) == {1: Phase.sent}


def test_a_killed_process_leaves_its_marks(path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from scrapy_resume.store.sqlite.inflight_board import Board\n"
        "board = Board(Path(sys.argv[1]), 3)\n"
        "board.mark(11, 1); board.mark(12, 2); board.mark(13, 1); board.unmark(13)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[4]
    result = subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, check=False)
    assert result.returncode == -signal.SIGKILL
    assert read_board(path, 3) == {11: Phase.sent, 12: Phase.answered}


def test_the_board_is_its_owners(path: Path) -> None:
    Board(path, 1)
    assert path.stat().st_mode & 0o777 == 0o600
