"""Scrapy signals about a job's progress. Connect handlers as to Scrapy's own signals:

    from scrapy_resume import signals

    crawler.signals.connect(self.page_failed, signals.request_failed)

docs/signals.md lists the arguments and the guarantees: each signal is sent after the commit that
it reports, and at least once even if the process dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

job_opened = object()
job_resumed = object()
job_recovered = object()
job_closed = object()
request_finished = object()
request_failed = object()
request_parked = object()
unit_started = object()
unit_completed = object()
step_failed = object()
item_completed = object()
breaker_opened = object()
breaker_closed = object()
commit_done = object()

BY_NAME: Final[Mapping[str, object]] = {
    "job_opened": job_opened,
    "job_resumed": job_resumed,
    "job_recovered": job_recovered,
    "job_closed": job_closed,
    "request_finished": request_finished,
    "request_failed": request_failed,
    "request_parked": request_parked,
    "unit_started": unit_started,
    "unit_completed": unit_completed,
    "step_failed": step_failed,
    "item_completed": item_completed,
    "breaker_opened": breaker_opened,
    "breaker_closed": breaker_closed,
    "commit_done": commit_done,
}
"""The names under which the store keeps events."""
