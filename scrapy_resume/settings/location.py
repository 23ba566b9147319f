"""Where jobs and event logs are stored, by the settings."""

from __future__ import annotations

import re
from pathlib import Path

from scrapy.settings import BaseSettings
from scrapy.utils.conf import closest_scrapy_cfg, get_config

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.table import parse_setting


def store_location(settings: BaseSettings) -> str:
    """Where jobs are stored: an absolute directory, or the URL of a PostgreSQL database.

    Creates nothing. A relative path is relative to the working directory. Raises
    ``ConfigurationError``.
    """
    location: str | None = parse_setting("RESUME_STORE", settings)
    if location is None:
        return str(_data_directory() / "resume")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", location)
    if scheme is None:
        return str(Path(location).expanduser().absolute())
    if scheme[1] in {"postgresql", "postgres"}:
        return location
    raise ConfigurationError(
        f"RESUME_STORE begins with {scheme[0]!r}, which is not a supported kind of store."
        " Set it to a directory or a postgresql:// URL."
    )


def event_directory(settings: BaseSettings) -> Path:
    """Where event logs are written: the directory that RESUME_EVENT_LOG names, or one beside the
    jobs. If the jobs are in a database, it is beside the default directory for jobs. Creates
    nothing. Raises ``ConfigurationError``."""
    given = parse_setting("RESUME_EVENT_LOG", settings)
    if isinstance(given, str):
        return Path(given).expanduser().absolute()
    location = store_location(settings)
    jobs = _data_directory() / "resume" if "://" in location else Path(location)
    return jobs / "events"


def _data_directory() -> Path:
    """Scrapy's data directory. Scrapy's own function would create it and import the project."""
    cfg_path = closest_scrapy_cfg()
    if not cfg_path:
        return Path.cwd() / ".scrapy"
    cfg = get_config()
    if cfg.has_option("datadir", "default"):
        return Path(cfg.get("datadir", "default")).absolute()
    return Path(cfg_path).parent / ".scrapy"
