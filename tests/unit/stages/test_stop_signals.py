"""The handlers of a process, and when they are put back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from scrapy_resume.stages.stop_signals import SIGNALS, StopSignals


class Opened:
    def __init__(self) -> None:
        self.told: list[str] = []

    def stop_soon(self) -> None:
        self.told.append("soon")

    def stop_now(self) -> None:
        self.told.append("now")


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The signals that come through to the handlers that were there before."""
    through: list[int] = []
    before = {number: signal.signal(number, lambda n, _: through.append(n)) for number in SIGNALS}
    yield through
    for number, handler in before.items():
        signal.signal(number, handler)


def test_all_open_stages_are_told_and_the_handlers_are_put_back(caught: list[int]) -> None:
    signals, one, two = StopSignals(), Opened(), Opened()
    before = signal.getsignal(signal.SIGTERM)
    assert not signals.add(one)
    assert not signals.add(two)
    signal.raise_signal(signal.SIGTERM)
    assert (one.told, two.told, caught) == (["soon"], ["soon"], [])
    signal.raise_signal(signal.SIGINT)
    assert (one.told, two.told, caught) == (["soon", "now"], ["soon", "now"], [])
    signal.raise_signal(signal.SIGINT)
    assert caught == [signal.SIGINT]
    signals.remove(one)
    signals.remove(two)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signals.add(Opened())  # the program was told to stop
    signals.remove(Opened())


def test_a_thread_sets_no_handlers(caught: list[int]) -> None:
    signals, stage = StopSignals(), Opened()
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=signals.add, args=(stage,))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_handlers_that_a_thread_has_left_pass_signals_on(caught: list[int]) -> None:
    signals, main, other = StopSignals(), Opened(), Opened()
    signals.add(main)
    signals.add(other)
    signals.remove(main)
    thread = threading.Thread(target=signals.remove, args=(other,))
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert (caught, other.told, signals.stopped) == ([signal.SIGTERM], [], False)
