"""The writable store, for the subcommands that change jobs.

It stands apart from ``invocation``, so that commands that only read do not reach what writes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.model import JobKey
    from scrapy_resume.store.contract import Store
    from scrapy_resume.store.contract.leftovers import Forget


def writable_store(call: Invocation) -> Store:
    """The store that RESUME_STORE names. What processes that died have left there is removed, and
    named on standard error. Raises ``ConfigurationError``."""
    store, _ = tidied_store(call)
    return store


def tidied_store(call: Invocation) -> tuple[Store, list[JobKey]]:
    """As ``writable_store``; and the jobs whose interrupted deletion was completed."""
    from scrapy_resume.store import open_location

    store = open_location(call.store_location())
    found = store.remove_leftovers(forgetting(call))
    for leftover in found:
        call.note(leftover.line)
    return store, [leftover.deleted for leftover in found if leftover.deleted is not None]


def forgetting(call: Invocation) -> Forget:
    """Deletes the event log of a job."""
    from scrapy_resume.events.log_files import remove_events
    from scrapy_resume.settings.location import event_directory

    return partial(remove_events, event_directory(call.settings))
