"""Checks feeds that are databases before anything is opened. Imports no driver."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from scrapy_resume.databases.address import FORMAT, Address, name_of, parsed_address
from scrapy_resume.databases.options import parsed_options
from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings


def check_feeds(settings: BaseSettings) -> None:
    """Raises ``ConfigurationError`` for feeds that cannot be what they say, before anything is
    touched. Whether their databases answer is not asked."""
    for uri, options in settings.getdict("FEEDS").items():
        if isinstance(options, Mapping) and options.get("format") == FORMAT:
            template = str(uri)
            parsed_options(name_of(template), options)
            address = parsed_address(template, "table")
            check_installed(address)


def check_installed(address: Address) -> None:
    """Raises ``ConfigurationError``, which names what to install."""
    needed = ["sqlalchemy", *(["psycopg"] if address.dialect == "postgresql" else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the feed {address.shown} needs {' and '.join(missing)}, which is not installed:"
            ' pip install "scrapy-resume[sql]"'
        )
