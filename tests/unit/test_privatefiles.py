"""Files under names that others can guess: nothing planted there is followed or waited for."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from scrapy_resume.privatefiles import (
    PlantedFileError,
    create_file,
    open_existing,
    private_directory,
    read_existing,
    remove_abandoned,
    remove_abandoned_directories,
)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    return victim


PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda path, victim: path.symlink_to(victim),
    "dangling link": lambda path, victim: path.symlink_to(victim.with_name("nothing")),
    "hard link": lambda path, victim: path.hardlink_to(victim),
    "FIFO": lambda path, victim: os.mkfifo(path),
    "file of others": lambda path, victim: path.write_bytes(b"theirs"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_created_file_is_new_whatever_has_its_name(
    tmp_path: Path, victim: Path, planted: str
) -> None:
    path = tmp_path / "note.new"
    PLANTED[planted](path, victim)
    file = create_file(path)
    os.write(file, b"ours")
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert path.read_bytes() == b"ours"
    assert victim.read_bytes() == b"dear"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["note.new", "victim"]
    os.close(file)


def test_a_directory_with_the_name_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "note.new").mkdir()
    with pytest.raises(OSError, match=r"note\.new"):
        create_file(tmp_path / "note.new")


@pytest.mark.parametrize("planted", ["link", "FIFO"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_what_was_planted_is_not_opened(
    tmp_path: Path, victim: Path, planted: str, flags: int
) -> None:
    path = tmp_path / "note"
    PLANTED[planted](path, victim)
    with pytest.raises(PlantedFileError, match="remove it"):
        open_existing(path, flags)


def test_a_file_with_two_names_is_read_and_not_written(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "note").hardlink_to(victim)
    assert read_existing(tmp_path / "note") == b"dear"
    with pytest.raises(PlantedFileError, match="hard link"):
        open_existing(tmp_path / "note", os.O_WRONLY)


def test_a_file_is_abandoned_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "feed.part"
    file = create_file(path)
    assert not remove_abandoned(path)
    assert path.exists()
    os.close(file)
    assert remove_abandoned(path)
    assert not path.exists()
    assert not remove_abandoned(path)


@pytest.mark.parametrize("planted", ["link", "FIFO", "dangling link"])
def test_what_was_planted_is_never_taken_for_abandoned(
    tmp_path: Path, victim: Path, planted: str
) -> None:
    path = tmp_path / "feed.part"
    PLANTED[planted](path, victim)
    assert not remove_abandoned(path)
    assert os.path.lexists(path)


def test_a_directory_is_private_and_goes_in_the_end(tmp_path: Path) -> None:
    with private_directory(tmp_path) as directory:
        (directory / "copy").write_bytes(b"x")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert remove_abandoned_directories(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with private_directory(tmp_path) as directory:
            (directory / "copy").write_bytes(b"x")
            os._exit(0)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    (tmp_path / ".scrapy-resume-mine.part").write_text("no directory")
    (tmp_path / "mine.part").mkdir()
    assert remove_abandoned_directories(tmp_path) == [left]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".scrapy-resume-mine.part",
        "mine.part",
    ]
