"""``scrapy resume web`` as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from scrapy_resume.web import server
from tests.commands.conftest import Answer, Shelf, call

from .browser import without_token
from .conftest import TOKEN, board_of
from .jobs import shop
from .serving import served

__all__ = ["call"]


def answer_to(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_prints_its_address_with_the_token_and_ends_well(shelf: Shelf) -> None:
    shop(shelf)
    command = [sys.executable, "-m", "scrapy", "resume", "web", "--port", "0", "--base-path", "/c/"]
    process = subprocess.Popen(
        [*command, "-s", f"RESUME_STORE={shelf.location}"],
        env={**os.environ, "RESUME_WEB_TOKEN": "its token"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first, address = process.stdout.readline(), process.stdout.readline().strip()
    assert shelf.location in first
    assert address.startswith("http://127.0.0.1:")
    assert address.endswith("/c/?token=its%20token")
    plain = without_token(address)
    bearer = {"Authorization": "Bearer its token"}
    assert answer_to(f"{plain}/healthz") == (200, "ok\n")
    assert answer_to(f"{plain}/api/jobs")[0] == 401
    assert "books~1" in answer_to(f"{plain}/api/jobs", **bearer)[1]
    assert 'href="/c/jobs/books~1"' in answer_to(f"{plain}/", **bearer)[1]
    # A proxy may take the base path off.
    assert answer_to(plain.removesuffix("/c") + "/healthz")[0] == 200
    stream = urlopen(Request(f"{plain}/stream", headers=bearer), timeout=20)
    assert b"retry" in stream.readline()
    process.send_signal(signal.SIGTERM)
    stream.read()
    stream.close()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err == ""


def test_a_port_that_is_taken_is_said_in_one_line(call: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer: Answer = call("web", "--port", taken.getsockname()[1])
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "--port" in answer.err


WITHOUT_EXTRA = """
import sys
sys.modules["uvicorn"] = None
sys.argv = ["scrapy", "resume", "web"]
from scrapy.cmdline import execute
execute()
"""


def test_what_is_not_installed_is_said_with_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_EXTRA]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert 'pip install "scrapy-resume[web]"' in found.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--base-path", "crawls"], 2), (["--base-path", '/"x'], 2), (["--port", "70000"], 2)],
)
def test_wrong_usage_is_refused(call: Any, words: list[str], code: int) -> None:
    assert call("web", *words).code == code


def test_an_empty_token_is_refused(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESUME_WEB_TOKEN", " ")
    answer: Answer = call("web")
    assert answer.code == 1
    assert "RESUME_WEB_TOKEN is empty" in answer.err


def test_clients_that_do_not_come_to_an_end_are_let_go(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "WAITED_SECONDS", 0.4)
    head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    with served(board_of(shelf)) as address:
        silent, slow = socket.create_connection(address), socket.create_connection(address)
        slow.sendall(head.encode())  # without the empty line that ends it
        for client in (silent, slow):
            client.settimeout(10)
            assert client.recv(1) == b""
            client.close()
        with socket.create_connection(address) as well:
            well.sendall(f"{head}\r\n".encode())
            assert b"200" in well.recv(100)
