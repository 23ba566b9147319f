"""The writable store, for the subcommands that change jobs.

It stands apart from ``invocation``, so that commands that only read do not reach what writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.store.contract import Store


def writable_store(call: Invocation) -> Store:
    """The store that RESUME_STORE names. Raises ``ConfigurationError``."""
    from scrapy_resume.store import open_location

    return open_location(call.store_location())
