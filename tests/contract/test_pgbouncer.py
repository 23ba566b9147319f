"""PgBouncer between the workers and the server: its transaction mode deals sessions out anew for
each transaction, so that nothing may be kept in one, and no lock be held by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.store.contract import Closing
from tests.support.pgbouncer import SESSIONS, PoolMode, pgbouncer
from tests.support.postgres import PostgresServer

from . import test_sharing
from .conftest import Place, place_of
from .records import BOOKS, SLOT, Run, finish, opening

ROUNDS = 40


@pytest.fixture
def mode() -> PoolMode:
    return "transaction"


@pytest.fixture
def pooled_url(postgres_server: PostgresServer, mode: PoolMode) -> Iterator[str]:
    with pgbouncer(postgres_server, mode) as bouncer:
        yield bouncer.url(postgres_server.new_database())


@pytest.fixture
def pooled_place(pooled_url: str) -> Iterator[Place]:
    place = place_of(pooled_url)
    yield place
    place.close()


def work(run: Run, name: str) -> None:
    """Goes through all that a worker does: more workers than sessions, so that they meet."""
    for number in range(ROUNDS):
        run.admit(test_sharing.new(run, f"{name}{number}", slot=name))
        [row] = run.lease(1, name)
        run.finish(finish(row.id, [f'"{name}{number}"']))


def test_workers_share_few_sessions_and_leave_nothing_in_them(
    pooled_place: Place, pooled_url: str
) -> None:
    first = pooled_place.begin(worker="a:0")
    runs = [first, *(pooled_place.resume(worker=f"a:{n}") for n in range(1, 2 * SESSIONS))]
    threads = [threading.Thread(target=work, args=(run, f"host{n}")) for n, run in enumerate(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f'"host{n}{number}"' for n in range(len(runs)) for number in range(ROUNDS)}
    assert sorted(pooled_place.items()) == sorted(expected)
    assert pooled_place.reader.summary(BOOKS).counts.done == len(expected)
    psycopg = pytest.importorskip("psycopg")
    with ExitStack() as stack:
        for _ in range(SESSIONS):
            connection = stack.enter_context(psycopg.connect(pooled_url))
            [left] = connection.execute(
                "SELECT (SELECT count(*) FROM pg_prepared_statements),"
                " current_setting('idle_in_transaction_session_timeout'),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            ).fetchall()
            assert left == (0, "0", 0)


def test_a_worker_that_stands_still_in_a_commit_is_cut_off_behind_a_pooler_too(
    pooled_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_sharing.test_a_worker_that_stands_still_in_a_commit_is_cut_off(pooled_place, monkeypatch)


def test_ten_that_begin_at_once_make_one_schema_behind_a_pooler_too(pooled_place: Place) -> None:
    test_sharing.test_ten_that_begin_at_once_make_one_schema(pooled_place)


@pytest.mark.parametrize("mode", ["session"])
def test_a_pooler_that_deals_out_nothing_is_as_good_as_none(pooled_place: Place) -> None:
    run = pooled_place.begin()
    work(run, SLOT)
    assert run.job.close(Closing("paused", "shutdown")) == "paused"


@pytest.mark.parametrize("mode", ["statement"])
def test_a_pooler_without_transactions_is_refused_by_name(pooled_place: Place) -> None:
    with pytest.raises(ConfigurationError, match="pool_mode to transaction or session"):
        pooled_place.store.begin(BOOKS, opening())
