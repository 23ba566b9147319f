"""Makes ``-o URI:sql`` known to Scrapy's commands, which check formats before add-ons are
applied."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from scrapy.commands import BaseRunSpiderCommand
from scrapy.settings import BaseSettings

if TYPE_CHECKING:
    import argparse

EXPORTER: Final = "scrapy_resume.databases.exporter.DatabaseExporter"


def accept_databases() -> None:
    """To be called once, when Scrapy loads the commands of installed packages."""
    original = BaseRunSpiderCommand.process_options

    @wraps(original)
    def process_options(
        self: BaseRunSpiderCommand, args: list[str], opts: argparse.Namespace
    ) -> Any:
        add_format(self.settings)
        return original(self, args, opts)

    BaseRunSpiderCommand.process_options = process_options  # type: ignore[method-assign]


def add_format(settings: BaseSettings | None) -> None:
    """Add the format to Scrapy's own, unless the user has one of that name."""
    formats = None if settings is None else settings.get("FEED_EXPORTERS_BASE")
    if isinstance(formats, BaseSettings) and "sql" not in formats:
        formats.set("sql", EXPORTER, priority="default")
