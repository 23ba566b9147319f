"""Many runs on one job: what a shared store promises beside the rest."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest

from scrapy_resume.errors import JobLockedError, LeaseLostError, StoreUnavailableError
from scrapy_resume.model import Phase
from scrapy_resume.store.contract import (
    Batch,
    Committed,
    HostNote,
    ItemRecord,
    Release,
    StartTurn,
    Wish,
)

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, finish


def two(place: Place, **fields: Any) -> tuple[Run, Run]:
    return place.begin(worker="a:1", **fields), place.resume(worker="b:2", **fields)


def new(run: Run, name: object, **fields: Any) -> Any:
    """An admission with an id of the run's own."""
    row = run.next_id
    run.next_id += run.session.ids.step
    return admission(row, name, **fields)


def idle(run: Run) -> Committed:
    return run.commit(idle=True)


def test_who_resumes_a_live_job_joins_it(shared_place: Place) -> None:
    first, second = two(shared_place)
    assert (first.session.run, second.session.run) == (1, 2)
    assert (second.session.sharing.others, second.session.crashed) == (1, False)
    assert first.session.start.owned
    assert not second.session.start.owned
    first.admit(new(first, "a"))
    second.admit(new(second, "b"))
    assert set(shared_place.states()) == {"a", "b"}
    assert [run["alive"] for run in shared_place.reader.runs(BOOKS)] == [True, True]


def test_ids_of_two_runs_never_meet(shared_place: Place) -> None:
    first, second = two(shared_place)
    ids = {new(run, n).id for run in (first, second) for n in range(100)}
    assert len(ids) == 200


def test_ids_follow_the_order_of_arrival_over_all_runs(shared_place: Place) -> None:
    first, second = two(shared_place)
    for name in range(50):
        first.admit(new(first, name))
    answer = second.commit()
    assert answer.sharing.next_id >= first.next_id - first.session.ids.step


def test_what_one_finds_is_known_to_the_other(shared_place: Place) -> None:
    first, second = two(shared_place)
    assert not first.admit(new(first, "a")).duplicates
    again = new(second, "a")
    assert second.admit(again).duplicates == {again.id}


def test_the_same_finds_at_the_same_time_are_admitted_once(shared_place: Place) -> None:
    """In different orders, too: who wants the same waits, never crosswise."""
    runs = two(shared_place)
    names = list(range(300))
    answers: list[Committed] = []

    def admit(run: Run, order: list[int]) -> None:
        for _ in range(5):
            answers.append(run.admit(*(new(run, name) for name in order)))

    threads = [
        threading.Thread(target=admit, args=(run, order))
        for run, order in zip(runs, (names, names[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(answer.duplicates) for answer in answers) == 9 * len(names)
    assert len(shared_place.rows()) == len(names)


def test_a_slot_belongs_to_one_run(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n) for n in range(4)))
    answer = first.commit(wishes=[Wish(SLOT, 1)])
    assert (len(answer.leased), answer.sharing.claimed) == (1, [SLOT])
    answer = second.commit(wishes=[Wish(SLOT, 1)])
    assert (answer.leased, answer.sharing.claimed, answer.pending) == ([], [], {SLOT: 0})


def test_a_slot_that_is_given_is_anybodys_after_the_delay(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n) for n in range(4)))
    first.commit(wishes=[Wish(SLOT, 1)])
    first.commit(slots_given={SLOT: 0.5})
    given_at = time.monotonic()
    assert second.commit(slots_wanted=8).sharing.slots_found == 0
    while not (answer := second.commit(slots_wanted=8, slot_share=2)).leased:
        pass
    assert time.monotonic() - given_at >= 0.4
    assert (answer.sharing.claimed, len(answer.leased)) == ([SLOT], 2)


def test_shared_slots_are_leased_from_by_all(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    first.admit(*(new(first, n) for n in range(4)))
    ids = [row.id for run in (first, second) for row in run.lease(2)]
    assert len(set(ids)) == 4
    first.admit(new(first, "later"))
    assert len(second.commit(slots_wanted=8).leased) == 1


def leased_ids(committed: Committed) -> list[int]:
    return sorted(row.id for row in committed.leased)


def test_no_more_rows_are_leased_from_shared_slots_than_are_wanted(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    first.admit(*(new(first, (n, s), slot=f"s{s}") for s in range(3) for n in range(4)))
    wanted = {"slots_wanted": 8, "slot_share": 3}
    assert len(second.commit(rows_wanted=2, **wanted).leased) == 2
    from_each = Counter(row.slot for row in second.commit(rows_wanted=6, **wanted).leased)
    assert set(from_each.values()) == {2}
    assert len(second.commit(rows_wanted=100, **wanted).leased) == 4, "no more is left"


def test_slots_that_are_passed_over_are_not_leased_from(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    first.admit(*(new(first, n, slot=f"s{n}") for n in range(3)))
    passed_over = ["s0", "s2", "never heard of"]
    answer = second.commit(slots_wanted=8, rows_wanted=8, slots_passed_over=passed_over)
    assert [row.slot for row in answer.leased] == ["s1"]


def test_who_looks_for_requests_in_vain_is_known_where_slots_are_shared(
    shared_place: Place,
) -> None:
    first, second = two(shared_place, slots_shared=True)
    assert (first.commit().sharing.others, first.commit().sharing.one_starves) == (1, False)
    first.admit(*(new(first, n) for n in range(2)))
    held = first.lease()
    second.commit(slots_wanted=8, rows_wanted=2)
    assert first.commit().sharing.one_starves
    assert not second.commit().sharing.one_starves, "the other one does not"
    released = held[0].id
    first.commit(releases=[Release(released, 0)])
    assert leased_ids(second.commit(slots_wanted=8, rows_wanted=2)) == [released]
    assert not first.commit().sharing.one_starves


def test_who_is_busy_and_finds_nothing_does_not_starve(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    second.commit(slots_wanted=8, rows_wanted=2)
    second.commit(slots_wanted=8, rows_wanted=2, slots_enough=True)
    assert not first.commit().sharing.one_starves


def test_a_worker_that_has_left_is_not_counted(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    second.commit(slots_wanted=8, rows_wanted=2)
    second.close()
    answer = first.commit()
    assert (answer.sharing.others, answer.sharing.one_starves) == (0, False)


def test_who_looks_for_slots_in_vain_is_known_to_the_others(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n, slot=f"s{n}") for n in range(6)))
    first.commit(slots_wanted=8)
    answer = second.commit(slots_wanted=8)
    assert answer.sharing.slots_found == 0
    assert answer.sharing.blocked_by
    assert first.commit().sharing.fair_share == 3
    assert second.commit().sharing.fair_share == 0


def test_who_has_found_too_few_slots_is_still_looking(shared_place: Place) -> None:
    """Rows of the few that it has are no reason for others to keep theirs."""
    first, second = two(shared_place)
    first.admit(*(new(first, n, slot=f"s{n}") for n in range(8)))
    first.commit(slots_wanted=8)
    second.commit(slots_wanted=8)
    first.commit(slots_given={"s0": 0.0})
    second.admit(new(second, "more", slot="s0"))
    assert second.commit(wishes=[Wish("s0", 2)]).leased
    assert first.commit().sharing.fair_share == 4
    second.commit(slots_enough=True)
    assert first.commit().sharing.fair_share == 0


def test_nobody_finishes_before_all_have(shared_place: Place) -> None:
    first, second = two(shared_place)
    assert idle(second).sharing.others_at_work, "start() is still to come"
    first.admit(new(first, "a"))
    first.commit(start_exhausted=True)
    assert idle(second).sharing.others_at_work, "a request is pending"
    [row] = first.lease()
    assert idle(second).sharing.others_at_work, "a request is leased"
    first.finish(finish(row.id))
    assert not idle(second).sharing.others_at_work
    assert not second.job.is_last()
    assert second.close("completed", "finished") == "running"
    assert first.job.is_last()
    assert first.close("completed", "finished") == "completed"


def test_it_is_known_that_all_others_only_wait(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(new(first, "later", not_before=2e9))
    answer = idle(second)
    assert (answer.sharing.others_at_work, answer.sharing.only_delayed) == (True, False), (
        "start() is to come"
    )
    first.commit(start_exhausted=True)
    answer = idle(second)
    assert (answer.sharing.others_at_work, answer.sharing.only_delayed) == (True, True)
    first.admit(new(first, "now"))
    assert not idle(second).sharing.only_delayed
    [row] = first.lease()
    assert not idle(second).sharing.only_delayed, "it is leased"
    first.finish(finish(row.id))
    assert idle(second).sharing.only_delayed


@pytest.mark.parametrize("why", ["open_until", "wait_until"])
def test_what_waits_for_its_host_only_waits(shared_place: Place, why: str) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n, slot=f"s{n}") for n in range(2)))
    first.commit(start_exhausted=True)
    until = time.time() + 900
    first.commit(hosts=[HostNote("s0", json.dumps({why: until}))])
    assert not idle(second).sharing.only_delayed, "one may be asked"
    first.commit(hosts=[HostNote("s1", json.dumps({why: until}))])
    assert idle(second).sharing.only_delayed
    first.commit(hosts=[HostNote("s0", json.dumps({why: 1.0}))])
    assert not idle(second).sharing.only_delayed


def test_what_is_known_of_a_host_comes_with_its_slot(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(new(first, "a"))
    first.commit(wishes=[Wish(SLOT, 1)])
    first.commit(hosts=[HostNote(SLOT, '{"open_until": 5.0}')])
    assert second.commit(slots_wanted=8).sharing.hosts == []
    first.close()
    while not (answer := second.commit(slots_wanted=8)).sharing.claimed:
        pass
    assert answer.sharing.hosts == [HostNote(SLOT, '{"open_until": 5.0}')]


def test_all_hear_of_hosts_that_all_may_ask(shared_place: Place) -> None:
    first, second = two(shared_place, slots_shared=True)
    second.commit()
    first.commit(hosts=[HostNote(SLOT, '{"open_until": 5.0}')])
    heard: list[HostNote] = []
    while not heard:
        heard = second.commit().sharing.hosts
    assert heard == [HostNote(SLOT, '{"open_until": 5.0}')]
    assert first.commit().sharing.hosts == []


def test_the_last_one_completes_the_job_whoever_closes_first(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.commit(start_exhausted=True)
    assert not first.job.is_last()
    assert second.job.is_last(), "the other one is leaving"
    assert second.close("completed", "finished") == "completed"
    assert first.close("completed", "finished") == "completed"


def test_who_stops_gives_back_what_it_holds(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n) for n in range(3)))
    first.lease()
    assert first.close() == "running"
    assert len(second.lease()) == 3
    job = shared_place.store.latest("books")
    assert job is not None
    assert (job.status, job.alive) == ("running", True)


def test_start_goes_to_another_when_its_run_ends(shared_place: Place) -> None:
    first, second = two(shared_place)
    assert second.commit(start_wanted=True).sharing.start is StartTurn.taken
    first.die()
    idle(second)
    assert second.commit(start_wanted=True).sharing.start is StartTurn.given
    second.commit(start_exhausted=True)
    third = shared_place.resume()
    assert not third.session.start.owned
    assert third.commit(start_wanted=True).sharing.start is StartTurn.over


def test_what_a_dead_run_held_is_taken_back_by_those_alive(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.admit(*(new(first, n) for n in range(3)))
    first.lease(2)
    first.die()
    answer = idle(second)
    assert answer.sharing.others_at_work
    assert (answer.counts.pending, answer.counts.leased) == (3, 0)
    assert [run["status"] for run in shared_place.reader.runs(BOOKS)] == ["crashed", "running"]


def test_a_silent_run_is_fenced(shared_place: Place) -> None:
    """It lives, and others took it for dead."""
    first, second = two(shared_place, orphan_seconds=0.3, stall_seconds=0.01)
    row = new(first, "a")
    first.admit(row)
    first.lease()
    moment = time.monotonic()
    while idle(second).counts.leased:
        assert time.monotonic() - moment < 20
    with pytest.raises(LeaseLostError):
        first.finish(finish(row.id, ["stale"]))
    with pytest.raises(LeaseLostError):
        first.close()
    assert shared_place.items() == []


def test_a_heartbeat_keeps_a_run_that_commits_nothing(shared_place: Place) -> None:
    first, second = two(shared_place, orphan_seconds=3.0, heartbeat_seconds=0.1)
    first.admit(new(first, "a"))
    first.lease()
    moment = time.monotonic()
    while time.monotonic() - moment < 3.5:
        first.job.show_life()
        assert idle(second).counts.leased == 1
    first.commit()


def test_a_run_whose_loop_hangs_beats_no_more(shared_place: Place) -> None:
    fields = {"orphan_seconds": 0.5, "heartbeat_seconds": 0.1, "stall_seconds": 0.2}
    first = shared_place.begin(worker="a:1", **fields)
    second = shared_place.resume(worker="b:2", orphan_seconds=60)
    first.admit(new(first, "a"))
    first.lease()
    moment = time.monotonic()
    while idle(second).counts.leased:
        assert time.monotonic() - moment < 20


def test_items_with_one_key_from_two_runs_are_one(shared_place: Place) -> None:
    first, second = two(shared_place)
    rows = [(run, new(run, name, lease=True)) for run, name in ((first, "a"), (second, "b"))]
    for run, row in rows:
        run.admit(row)
    for number, (run, row) in enumerate(rows):
        run.finish(finish(row.id, [ItemRecord(0, str(number), "key")]))
    assert shared_place.items() == ["1"]
    assert [row["items"] for row in shared_place.reader.requests(BOOKS)] == [0, 1]


def test_state_and_cookies_of_a_run_that_ended_are_taken_up_once(shared_place: Place) -> None:
    first, second = two(shared_place)
    first.commit(spider_state="1", cookies={"jar": "first"})
    second.commit(spider_state="2", cookies={"jar": "second"})
    third = shared_place.resume()
    assert third.session.state.spider_state is None
    assert third.session.state.cookies == {"jar": "second"}, (
        "of those who are on the job, the latest"
    )
    first.die()
    assert shared_place.resume().session.state.spider_state == "1"
    assert shared_place.resume().session.state.spider_state is None


def test_a_batch_that_is_sent_again_is_kept_once(shared_place: Place) -> None:
    """Its answer was lost with the connection."""
    run = shared_place.begin()
    batch = Batch(next_id=run.next_id, arrivals=[admission(run.next_id)])
    kept = run.job.commit(batch)
    run.job._commits -= 1  # type: ignore[attr-defined]
    run.job._unconfirmed = type("UnconfirmedCommit", (), {"batch": batch, "committed": kept})()  # type: ignore[attr-defined]
    assert run.job.commit(batch) is kept
    assert run.commit().counts.pending == 1


def test_a_database_that_lost_commits_is_noticed(shared_place: Place) -> None:
    run = shared_place.begin()
    run.commit()
    run.job._commits += 1  # type: ignore[attr-defined]
    with pytest.raises(LeaseLostError, match="lost commits"):
        run.commit()


def test_a_run_whose_number_a_database_without_it_gave_away_is_noticed(
    shared_place: Place,
) -> None:
    """The failover lost that a worker joined; the next one to join has its number, and more commits
    than the first, who has not noticed yet."""
    shared_place.begin().commit()
    lost = shared_place.resume(worker="b:2")
    with lost.job._link.alone() as connection:  # type: ignore[attr-defined]
        connection.execute("DELETE FROM scrapy_resume.run WHERE number = 2")
        connection.execute("UPDATE scrapy_resume.job SET next_run = 2")
    with pytest.raises(LeaseLostError, match="deleted"):
        lost.commit()
    other = shared_place.resume(worker="b:2")
    assert other.session.run == lost.session.run
    other.admit(new(other, "a", lease=True))
    other.commit()
    with pytest.raises(LeaseLostError, match="lost commits"):
        lost.commit()
    other.commit()


def test_a_live_job_cannot_be_cancelled(shared_place: Place) -> None:
    run = shared_place.begin(worker="tokyo:4711")
    with pytest.raises(JobLockedError, match="tokyo:4711"):
        shared_place.store.cancel(BOOKS)
    run.commit()


def test_ten_that_begin_at_once_make_one_schema(shared_place: Place) -> None:
    errors: list[BaseException] = []

    def pass_door(number: int) -> None:
        try:
            with shared_place.another_store().door(f"job{number}"):
                pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=pass_door, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_any_text_is_storable(shared_place: Place) -> None:
    """What the database cannot hold is there as escapes."""
    run = shared_place.begin()
    row = new(run, "a", lease=True)
    run.admit(row)
    run.finish(finish(row.id, error="E\0", error_message="\ud800\0"))
    found = shared_place.rows()["a"]
    assert (found["error"], found["error_message"]) == ("E\\x00", "\\ud800\\x00")


def test_a_worker_that_stands_still_in_a_commit_is_cut_off(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SIGSTOP does it, wherever it hits: what the worker has locked must not hold up others."""
    still = shared_place.begin(worker="a:1", orphan_seconds=1.0)
    still.admit(new(still, "a", lease=True))
    other = shared_place.resume(worker="b:2", orphan_seconds=1.0)
    in_commit, go_on = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def stand_still(_: Any) -> None:
        in_commit.set()
        go_on.wait(30)

    monkeypatch.setattr(still.job._heartbeat, "_beat", lambda: None)
    monkeypatch.setattr(still.job._tables, "settle_claims", lambda: stand_still(None))

    def commit() -> None:
        try:
            still.commit()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=commit)
    thread.start()
    assert in_commit.wait(10)
    deadline = time.monotonic() + 15
    while not (answer := other.commit(slots_wanted=8)).leased:
        assert time.monotonic() < deadline, "nobody took over what it had"
        other.commit(idle=True)
        time.sleep(0.05)
    assert [row.url.rpartition("/")[2] for row in answer.leased] == ["a"]
    go_on.set()
    thread.join(10)
    assert isinstance(failures[0], StoreUnavailableError)
    with pytest.raises(LeaseLostError):
        still.commit()


@pytest.mark.parametrize("slots_shared", [False, True])
def test_what_a_run_refuses_is_leased_by_others_alone(
    shared_place: Place, slots_shared: bool
) -> None:
    first, second = two(shared_place, slots_shared=slots_shared)
    first.admit(*(new(first, name) for name in "abc"))
    answer = first.commit(wishes=[Wish(SLOT, 2)])
    a, b = answer.leased
    answer = first.commit(
        releases=[Release(row.id, row.attempts) for row in (a, b)],
        refused=[a.id, b.id],
        wishes=[Wish(SLOT, 3)],
    )
    assert [row.url[-1] for row in answer.leased] == ["c"]
    assert answer.pending == {SLOT: 0}
    assert answer.counts.pending == 2
    answer = first.commit(slots_given={SLOT: 0.0}, releases=[Release(answer.leased[0].id, 0)])
    found = first.commit(slots_wanted=1, slot_share=3, rows_wanted=3)
    assert [row.url[-1] for row in found.leased] == ["c"]
    first.commit(finishes=[finish(found.leased[0].id)], slots_given={SLOT: 0.0})
    assert not first.commit(slots_wanted=1, slot_share=3, rows_wanted=3).leased
    found = second.commit(slots_wanted=1, slot_share=3, rows_wanted=3)
    assert [row.url[-1] for row in found.leased] == ["a", "b"]
    assert idle(first).sharing.others_at_work


def test_a_suspect_that_a_run_refuses_is_left_to_others(shared_place: Place) -> None:
    run = shared_place.begin(crash_limit=1)
    sent = new(run, "a", lease=True)
    run.admit(sent)
    run.job.mark(sent.id, Phase.answered)
    run.commit()
    run.die()
    first, second = (shared_place.resume(worker=name, crash_limit=1) for name in ("a:1", "b:2"))
    suspect = first.commit(suspect_wish=True).suspect
    assert suspect is not None
    refusal = first.commit(releases=[Release(suspect.id, 0)], refused=[suspect.id])
    assert refusal.suspects == 0
    assert first.commit(suspect_wish=True).suspect is None
    first.commit(slots_given={SLOT: 0.0})
    assert second.commit(suspect_wish=True).suspect is not None
