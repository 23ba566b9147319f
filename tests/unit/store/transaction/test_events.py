"""Events out of the store have the form in which they were stored."""

from __future__ import annotations

import pytest

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.store.contract import EventNote
from scrapy_resume.store.transaction.events import noted


def test_stored_events_are_noted() -> None:
    assert noted([(3, '[{"event":"job_closed","run":1}]')]) == [
        EventNote(3, [{"event": "job_closed", "run": 1}])
    ]


@pytest.mark.parametrize(
    "payload", ["", "{}", "[1]", "[{}]", '[{"event":1}]', "[" * 100_000, '"job_closed"']
)
def test_what_is_no_event_is_damage(payload: str) -> None:
    with pytest.raises(StoreDamagedError, match="event 3"):
        noted([(3, payload)])
