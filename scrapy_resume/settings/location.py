"""Where jobs and event logs are stored, by the settings."""

from __future__ import annotations

from pathlib import Path

from scrapy.settings import BaseSettings, Settings
from scrapy.utils.conf import closest_scrapy_cfg, get_config
from scrapy.utils.project import get_project_settings, inside_project

from scrapy_resume.settings.parse_location import (
    StoreLocation,
    parsed_directory,
    parsed_location,
)
from scrapy_resume.settings.table import parse_setting


def project_settings() -> BaseSettings:
    """The settings of the project in whose directory, or for which, the process runs; without one
    Scrapy's defaults. Imports the project's settings module."""
    return get_project_settings() if inside_project() else Settings()


def store_location(settings: BaseSettings) -> StoreLocation:
    """Where jobs are stored: an absolute directory, or the URL of a PostgreSQL database.

    Creates nothing. A relative path is relative to the working directory. Raises
    ``ConfigurationError``.
    """
    location = parse_setting("RESUME_STORE", settings)
    if location is None:
        return StoreLocation(_data_directory() / "resume")
    return parsed_location(location)


def event_directory(settings: BaseSettings) -> Path:
    """Where event logs are written: the directory that RESUME_EVENT_LOG names, or one beside the
    jobs. If the jobs are in a database, it is beside the default directory for jobs. Creates
    nothing. Raises ``ConfigurationError``."""
    given = parse_setting("RESUME_EVENT_LOG", settings)
    if not isinstance(given, bool):
        return parsed_directory(given, "RESUME_EVENT_LOG")
    location = store_location(settings)
    jobs = _data_directory() / "resume" if location.is_database else Path(location)
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
