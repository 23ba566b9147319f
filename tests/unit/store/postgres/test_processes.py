"""Who counts as dead before its time: only a process of which that is proved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scrapy_resume.store.postgres import processes
from scrapy_resume.store.postgres.processes import Presence, is_gone
from tests.support.skips import not_started, other_platform

PRESENT = "from scrapy_resume.store.postgres.processes import Presence; print(Presence().name)\n"
LIVES = PRESENT + "import sys; sys.stdout.flush(); sys.stdin.read()"

ASKS = """
import os, sys
from scrapy_resume.store.postgres.processes import is_gone
if "--nobody" in sys.argv:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    assert not os.path.exists(f"/proc/{sys.argv[2]}"), "it can be seen"
print(is_gone(sys.argv[1]))
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason=other_platform("it has no /proc"))


@contextmanager
def live_process(*before: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that lives until it is killed, and the name that it has recorded."""
    words = [*before, sys.executable, "-c", LIVES]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def asked(words: list[str], *arguments: str) -> bool:
    """The answer of another process, which these words run."""
    command = [*words, sys.executable, "-c", ASKS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return {"True": True, "False": False}[done.stdout.strip()]


def unshare(*options: str) -> list[str]:
    """The words that run a program in namespaces of its own; the test is skipped without them."""
    if sys.platform != "linux":
        pytest.skip(other_platform("it has no namespaces"))
    words = ["unshare", *options]
    if shutil.which("unshare") is None:
        not_started("A process in namespaces of its own", "there is no unshare(1)")
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode:
        not_started("A process in namespaces of its own", tried.stderr.strip())
    return words


# On this machine


@linux_only
def test_process_that_lives_is_not_gone_and_one_that_was_killed_is() -> None:
    with live_process() as (name, process):
        assert not is_gone(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(name), "it has ended, though nobody has waited for it yet"
        process.wait()
        assert is_gone(name)


@linux_only
def test_process_that_has_given_the_job_up_is_gone() -> None:
    first, second = Presence(), Presence()
    first.end()
    assert is_gone(first.name)
    assert not is_gone(second.name)
    second.end()


@linux_only
def test_another_process_that_was_given_the_pid_is_not_taken_for_the_first() -> None:
    with live_process() as (name, _):
        machine, pid, born, number = name.split("/")
        assert is_gone(f"{machine}/{pid}/{int(born) - 1}/{number}")


@pytest.mark.parametrize(
    "change",
    [
        lambda machine: machine.replace(machine.split()[0], "other-boot"),
        lambda machine: machine.replace("pid:[", "pid:[9"),
        lambda machine: "",
        lambda machine: f"{machine} time:[1]",
    ],
    ids=["boot", "pid namespace", "unknown", "time namespace"],
)
@linux_only
def test_name_from_elsewhere_proves_nothing(change: Callable[[str], str]) -> None:
    with live_process() as (name, process):
        process.kill()
        process.wait()
        machine, *rest = name.split("/")
        assert is_gone(name)
        assert not is_gone("/".join((change(machine), *rest)))


@pytest.mark.parametrize("name", ["", "/7//1", "a b/7/1", "a/b/c/d/e"])
def test_name_without_the_parts_of_a_proof_is_not_gone(name: str) -> None:
    assert not is_gone(name)


# In containers


def test_process_in_another_pid_namespace_is_not_gone_seen_from_outside() -> None:
    with live_process(*unshare("-pf", "--mount-proc", "--kill-child")) as (name, _):
        assert name.split("/")[1] == "1"
        assert not is_gone(name)


def test_process_outside_is_not_gone_seen_from_another_pid_namespace() -> None:
    words = unshare("-pf", "--mount-proc")
    with live_process() as (name, process):
        assert not asked(words, name)
        process.kill()
        process.wait()
        assert not asked(words, name), "there is no proof from there"


def test_proc_of_another_namespace_is_not_asked_for_processes() -> None:
    """Without ``--mount-proc`` it shows the pids of the namespace outside."""
    program = "p = Presence(); q = Presence(); q.end(); print(is_gone(p.name), is_gone(q.name))"
    command = [sys.executable, "-c", "\n".join((f"from {processes.__name__} import *", program))]
    done = subprocess.run([*unshare("-pf"), *command], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_process_that_hidepid_hides_is_not_gone_until_it_has_ended() -> None:
    hidden = "mount -t proc -o hidepid=2 proc /proc"
    words = unshare("-m")
    tried = subprocess.run([*words, "sh", "-c", hidden], capture_output=True, text=True)
    if tried.returncode:
        not_started("A /proc that hides processes", tried.stderr.strip())
    words += ["sh", "-c", f'{hidden} && exec "$@"', "sh"]
    with live_process() as (name, process):
        assert not asked(words, name, str(process.pid), "--nobody")
        process.kill()
        process.wait()
        assert asked(words, name, str(process.pid), "--nobody"), "the kernel knows that pid no more"


# Without namespaces and without /proc


class Machine:
    """Files of ``/proc``, and the answers of ``kill``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc = folder / "proc"
        self.answers: dict[int, type[OSError]] = {}
        monkeypatch.setattr(processes, "_PROC", self.proc)
        monkeypatch.setattr(os, "kill", self.kill)
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        (self.proc / "sys/kernel/random/boot_id").write_text("boot\n")
        self.shows(os.getpid(), "R", "500")
        (self.proc / "self").symlink_to(str(os.getpid()))
        (self.proc / "self/ns").mkdir()
        (self.proc / "self/ns/pid").symlink_to("pid:[1]")

    def kill(self, pid: int, signal: int) -> None:
        assert signal == 0
        if pid in self.answers:
            raise self.answers[pid]

    def shows(self, pid: int, state: str, born: str) -> None:
        (self.proc / str(pid)).mkdir(exist_ok=True)
        fields = [state, *"0" * 18, born, "0"]
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a) b) {' '.join(fields)}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("answer", "shown", "gone"),
    [
        (ProcessLookupError, None, True),
        (PermissionError, None, False),
        (PermissionError, ("S", "40"), False),
        (PermissionError, ("S", "41"), True),
        (PermissionError, ("Z", "40"), True),
        (None, None, False),
        (None, ("R", "40"), False),
        (None, ("X", "40"), True),
        (None, ("R", "39"), True),
    ],
)
def test_only_a_proof_ends_a_process(
    machine: Machine, answer: type[OSError] | None, shown: tuple[str, str] | None, gone: bool
) -> None:
    if answer is not None:
        machine.answers[40] = answer
    if shown is not None:
        machine.shows(40, *shown)
    assert is_gone("boot pid:[1]/40/40/1") is gone


def test_time_of_start_that_is_unknown_proves_nothing(machine: Machine) -> None:
    machine.shows(40, "R", "7")
    assert not is_gone("boot pid:[1]/40//1")
    machine.shows(40, "Z", "7")
    assert is_gone("boot pid:[1]/40//1")


def test_proc_of_other_pids_shows_nothing(machine: Machine) -> None:
    (machine.proc / "self").unlink()
    (machine.proc / "self").symlink_to("1")
    machine.shows(1, "R", "1")
    (machine.proc / "1/ns").mkdir()
    (machine.proc / "1/ns/pid").symlink_to("pid:[1]")
    machine.shows(40, "Z", "1")
    assert not is_gone("boot pid:[1]/40/40/1")
    machine.answers[40] = ProcessLookupError
    assert is_gone("boot pid:[1]/40/40/1")


def test_without_proc_only_the_kernels_word_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sysctl = tmp_path / "sysctl"
    sysctl.write_text('#!/bin/sh\n[ "$*" = "-n kern.bootsessionuuid" ] && echo 5A-6B\n')
    sysctl.chmod(0o700)
    monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
    monkeypatch.setattr(processes, "_SYSCTL", str(sysctl))
    monkeypatch.setattr(sys, "platform", "darwin")
    processes._boot_session.cache_clear()
    try:
        with live_process() as (_, process):
            name = f"5A-6B/{process.pid}//1"
            assert not is_gone(name)
            process.kill()
            process.wait()
            assert is_gone(name)
            assert not is_gone(f"7C-8D/{process.pid}//1"), "another boot, or another machine"
    finally:
        processes._boot_session.cache_clear()


def test_system_that_tells_nothing_of_itself_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
    with live_process() as (_, process):
        process.kill()
        process.wait()
        assert Presence().name.startswith("/")
        assert not is_gone(f"/{process.pid}//1")
