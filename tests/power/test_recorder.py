"""The recorder sees what a program does to its files: what it did is known here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.power.bench import Bench
from tests.power.disk import Disk
from tests.power.recorder import Event, Recorder, preloaded, snapshot

KNOWN = """
import os
with open("f", "wb", buffering=0) as file:
    file.write(b"one")
    file.write(b"two")
    file.seek(1)
    file.write(b"N")
    file.truncate(5)
    os.fsync(file.fileno())
    os.pwrite(file.fileno(), b"!", 7)
    os.posix_fallocate(file.fileno(), 0, 10)
with open("f", "ab", buffering=0) as file:
    file.write(b"end")
    os.writev(file.fileno(), [b"a", b"b"])
os.mkdir("d")
os.rename("f", "d/g")
os.link("d/g", "h")
os.unlink("h")
open("d/g", "wb").close()
os.truncate("d/g", 2)
folder = os.open("d", os.O_RDONLY)
descriptor = os.open("i", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
os.fdatasync(descriptor)
os.fsync(folder)
os.unlink("i", dir_fd=folder)
os.remove("d/g")
os.rmdir("d")
"""

SEEN = [
    ("c", "f", "", 0, b""),
    ("w", "f", "", 0, b"one"),
    ("w", "f", "", 3, b"two"),
    ("w", "f", "", 1, b"N"),
    ("t", "f", "", 5, b""),
    ("s", "f", "", 0, b""),
    ("w", "f", "", 7, b"!"),
    ("t", "f", "", 10, b""),
    ("w", "f", "", 10, b"end"),
    ("w", "", "", 13, b"ab"),
    ("m", "d", "", 0, b""),
    ("r", "f", "d/g", 0, b""),
    ("l", "d/g", "h", 0, b""),
    ("u", "h", "", 0, b""),
    ("t", "d/g", "", 0, b""),
    ("t", "d/g", "", 2, b""),
    ("c", "d/i", "", 0, b""),
    ("s", "d/i", "", 0, b""),
    ("S", "d", "", 0, b""),
    ("u", "d/i", "", 0, b""),
    ("u", "d/g", "", 0, b""),
    ("d", "d", "", 0, b""),
]

OTHER_WAYS = """
import mmap, os, shutil, sqlite3, threading
content = bytes(range(256)) * 40
with open("source", "wb") as file:
    file.write(content)
shutil.copyfile("source", "copied")
with open("source", "rb") as source, open("ranged", "wb", buffering=0) as target:
    os.copy_file_range(source.fileno(), target.fileno(), 5_000)
    os.copy_file_range(source.fileno(), target.fileno(), 1_000, 0, 9_000)
    os.sendfile(target.fileno(), source.fileno(), 0, 10)
with open("copied", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    mapped[10] = 99
    mapped[9_000:9_002] = b"mm"
connection = sqlite3.connect("database")
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE t (a)")
def write(name):
    with open(name, "ab", buffering=0) as file:
        for _ in range(200):
            file.write(name.encode() * 30)
threads = [threading.Thread(target=write, args=(name,)) for name in "pq"]
for thread in threads: thread.start()
for number in range(200):
    with connection:
        connection.execute("INSERT INTO t VALUES (?)", (content[:number],))
for thread in threads: thread.join()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
if os.fork() == 0:
    os.write(os.open("child", os.O_WRONLY | os.O_CREAT), b"c")
    os._exit(0)
os.wait()
"""

ENDLESS = """
import os
number = 0
print("begun", flush=True)
while True:
    number += 1
    with open(f"f{number % 5}", "wb") as file:
        file.write(b"x" * number)
    os.replace(f"f{number % 5}", f"g{number % 3}")
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    disk = tmp_path / "disk"
    disk.mkdir()
    return Recorder.begin(tmp_path / "record", disk)


def started(program: str, recorder: Recorder, library: Path) -> subprocess.Popen[str]:
    variables = {**os.environ, **preloaded(library), **recorder.variables()}
    command = [sys.executable, "-I", "-c", program]
    return subprocess.Popen(
        command, cwd=recorder.folder, env=variables, stdout=subprocess.PIPE, text=True
    )


def ran(program: str, recorder: Recorder, bench: Bench) -> list[Event]:
    with started(program, recorder, bench.library) as process:
        assert process.wait(30) == 0
    return list(recorder.events())


def is_told_by(events: list[Event], recorder: Recorder) -> bool:
    """Whether the events tell how the folder came to be as it is."""
    real = {name: found and found[1] for name, found in snapshot(recorder.folder).items()}
    return Disk(recorder.before, events).seen() == real


def test_every_call_is_recorded_in_its_order(recorder: Recorder, bench: Bench) -> None:
    events = ran(KNOWN, recorder, bench)
    assert [(e.kind, e.name, e.other, e.offset, e.content) for e in events] == SEEN
    assert is_told_by(events, recorder)


def test_events_tell_how_files_came_to_be_as_they_are(recorder: Recorder, bench: Bench) -> None:
    """Copies in the kernel, mapped memory, SQLite's WAL, two threads, a forked process."""
    events = ran(OTHER_WAYS, recorder, bench)
    assert is_told_by(events, recorder)
    assert {"copied", "ranged", "database", "child", "p", "q"} < snapshot(recorder.folder).keys()
    assert any(event.name == "database-wal" and event.kind == "w" for event in events)
    assert sum(event.name in {"p", "q"} and event.kind == "w" for event in events) == 400


def test_a_process_that_is_killed_has_recorded_what_it_did(
    recorder: Recorder, bench: Bench
) -> None:
    for _ in range(5):
        with started(ENDLESS, recorder, bench.library) as process:
            assert process.stdout is not None
            process.stdout.readline()
            before = recorder.record.stat().st_size
            until = time.monotonic() + 20
            while recorder.record.stat().st_size < before + 2_000:
                assert time.monotonic() < until
            with recorder.frozen():
                process.kill()
                process.wait(10)
        assert is_told_by(list(recorder.events()), recorder)


@pytest.mark.parametrize(
    "call",
    [
        "os.sync()",
        "os.pwritev(os.open('f', os.O_RDWR | os.O_CREAT), [b'x'], 0)",
        "os.symlink('f', 'g')",
        "os.open('f', os.O_RDWR | os.O_CREAT | os.O_DSYNC)",
        "open('/tmp/outside-' + str(os.getpid()), 'w').close();"
        "os.rename('/tmp/outside-' + str(os.getpid()), 'f')",
    ],
)
def test_what_cannot_be_recorded_is_not_passed_over(
    call: str, recorder: Recorder, bench: Bench
) -> None:
    with pytest.raises(AssertionError, match="does not know what to make of"):
        ran(f"import os; {call}", recorder, bench)


def test_nothing_is_recorded_outside_of_the_folder(recorder: Recorder, bench: Bench) -> None:
    program = "import os; os.chdir('..'); open('outside', 'w').write('x'); os.mkdir('disk2')"
    assert ran(program, recorder, bench) == []
