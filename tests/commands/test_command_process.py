from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.skips import other_platform

ROOT = Path(__file__).resolve().parents[2]
SCRAPY = [sys.executable, "-m", "scrapy"]


def scrapy(*arguments: str, cwd: Path, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SCRAPY, *arguments], cwd=cwd, capture_output=True, text=True, check=False, **more
    )


@pytest.fixture
def project(tmp_path) -> Path:
    directory = tmp_path / "project"
    (directory / "shop").mkdir(parents=True)
    (directory / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    (directory / "shop" / "__init__.py").write_text("")
    (directory / "shop" / "settings.py").write_text(
        'BOT_NAME = "shop"\nADDONS = {"scrapy_resume.Addon": 500}\nRESUME_STORE = "../store"\n'
    )
    return directory


def test_in_a_project_its_store_is_read(shelf, project):
    shelf.close(shelf.begin())
    answer = scrapy("resume", "list", "--json", cwd=project)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [job["job"] for job in json.loads(answer.stdout)] == ["books"]


def test_outside_a_project_it_is_a_command_as_well(shelf, tmp_path):
    shelf.close(shelf.begin())
    answer = scrapy("resume", "status", "--json", "-s", "RESUME_STORE=store", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout)["status"] == "completed"
    assert " resume " in scrapy(cwd=tmp_path).stdout


def test_a_reader_that_leaves_early_is_no_failure(shelf, tmp_path):
    shelf.crawl(shelf.begin(), done=[[{"text": "x" * 1000}] * 2000])
    command = [*SCRAPY, "resume", "export", "-o", "-:jsonlines", "-s", "RESUME_STORE=store"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_reader_that_leaves_early_does_not_change_what_check_says(shelf, tmp_path):
    shelf.crawl(shelf.begin(), leased=2000)
    command = [*SCRAPY, "resume", "status", "--check", "--json", "-s", "RESUME_STORE=store"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason=other_platform("it has no /dev/full"))
def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(shelf, tmp_path):
    shelf.close(shelf.begin())
    with open("/dev/full", "wb") as full:
        answer = subprocess.run(
            [*SCRAPY, "resume", "list", "-s", "RESUME_STORE=store"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr


def test_text_that_the_terminal_cannot_show_is_escaped(shelf, tmp_path, monkeypatch):
    shelf.close(shelf.begin("bücher"))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    answer = scrapy("resume", "list", "-s", "RESUME_STORE=store", cwd=tmp_path)
    assert answer.returncode == 0
    assert "b\\xfccher#1" in answer.stdout


def test_scrapy_loads_next_to_nothing_for_the_entry_point():
    program = (
        "import sys, scrapy.cmdline, scrapy.commands\n"
        "before = set(sys.modules)\n"
        "import scrapy_resume.commands\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == [
        "scrapy_resume",
        "scrapy_resume.commands",
        "scrapy_resume.engine",
        "scrapy_resume.engine.output_formats",
    ]


@pytest.mark.parametrize("words", [["status"], ["report", "--json"]])
def test_rich_is_loaded_for_a_terminal_alone(shelf, tmp_path, words):
    shelf.close(shelf.begin())
    program = (
        "import atexit, sys\n"
        "from scrapy.cmdline import execute\n"
        "atexit.register(lambda: print('rich' in sys.modules, file=sys.stderr))\n"
        "execute()"
    )
    command = [sys.executable, "-c", program, "resume", *words, "-s", "RESUME_STORE=store"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout
    assert run.stderr == "False\n"
