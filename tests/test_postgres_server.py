"""The server of the tests starts if it can, and says why if it cannot."""

from __future__ import annotations

import socket

import pytest

from tests.support import postgres
from tests.support.postgres import HOST, PostgresServer, PostgresUnavailableError, free_port


def test_a_server_that_ends_at_once_shows_the_end_of_its_log() -> None:
    server = PostgresServer({"shared_buffers": "nonsense"})
    with pytest.raises(PostgresUnavailableError) as caught, server:
        pass
    assert "postgres ended with exit code 1" in str(caught.value)
    assert 'invalid value for parameter "shared_buffers": "nonsense"' in str(caught.value)
    assert not server.folder.exists()


@pytest.mark.soak
def test_a_server_that_is_slow_to_start_says_how_busy_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "START_LIMIT_SECONDS", 0.0)
    monkeypatch.setattr(PostgresServer, "_run", lambda *_: None)  # initdb would be too slow, too
    monkeypatch.setattr(PostgresServer, "_words", lambda *_: ["sleep", "60"])
    with pytest.raises(PostgresUnavailableError, match=r"not ready in 0 s \(load .* processors\)"):
        PostgresServer().__enter__()


def test_initdb_that_does_not_end_says_how_busy_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "START_LIMIT_SECONDS", 0.0)
    monkeypatch.setattr(PostgresServer, "_words", lambda *_: ["sleep", "60"])
    with pytest.raises(PostgresUnavailableError, match=r"initdb did not end in 0 s \(load"):
        PostgresServer().__enter__()


def test_initdb_that_fails_shows_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "INITDB_WORDS", ("--encoding=nonsense",))
    with pytest.raises(PostgresUnavailableError, match="initdb ended with exit code 1") as caught:
        PostgresServer().__enter__()
    assert '"nonsense" is not a valid server encoding name' in str(caught.value)


def test_a_port_that_is_taken_meanwhile_is_left_to_the_one_who_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken, free = free_port(), free_port()
    ports = iter([taken, free])
    with socket.socket() as other:
        other.bind((HOST, taken))
        other.listen()
        monkeypatch.setattr(postgres, "free_port", lambda: next(ports))
        with PostgresServer() as server:
            assert server.port == free
            assert server.query("SELECT 1") == [(1,)]
