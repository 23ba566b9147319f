"""What the subcommands share that act on jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_resume.commands.call import Call
    from scrapy_resume.store.contract import Store


def store_of(call: Call) -> Store:
    """The store that the settings name, to act on. Raises ``ConfigurationError``."""
    from scrapy_resume.store import open_location

    return open_location(call.store_location())
