"""Parses the ``RESUME_*`` settings of a crawl once, into a frozen object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from scrapy.settings import BaseSettings

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import SkipRule
from scrapy_resume.settings import convert as to
from scrapy_resume.settings.convert import ItemKey
from scrapy_resume.settings.location import event_directory, store_location
from scrapy_resume.settings.masking import without_password
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.settings.table import BY_NAME, SETTINGS, parse_setting


# One field for each row of the table of settings, from which it is built by keyword.
@dataclass(frozen=True)
class ResumeSettings:
    """The settings of one crawl; docs/settings.md describes them."""

    enabled: bool
    store: str = field(repr=False)  # it may contain a password
    """An absolute directory, or the URL of a database."""
    job: str | None
    """``None``: derived from the spider and its arguments, see ``job_name``."""
    mode: str
    delta_start: str
    start: str
    force: bool
    order: str | None
    item_key: ItemKey | None
    item_duplicates: str
    steps: Mapping[Any, float | None]
    """Import path, function or class → its order; ``None``: it is switched off."""
    step_concurrency: int
    stats: str
    component_state: Mapping[str, tuple[str, ...]]
    """Import path of a component's class → the attributes that are persisted."""
    input_files: tuple[str, ...]
    on_input_change: str
    commit_interval_seconds: float
    durability: str
    retry_delay_seconds: float
    retry_delay_max_seconds: float
    retry_wait_seconds: float
    retry_rounds: int
    """0: there are no dead letters."""
    skip: tuple[SkipRule, ...]
    breaker_failures: int
    breaker_probes: int
    breaker_cooldown_seconds: float
    crash_limit: int
    ignored_http_codes: frozenset[int]
    codecs: Mapping[str, Any]
    """Type path → codec path."""
    trusted: tuple[str, ...]
    """Prefixes of modules."""
    renamed: Mapping[str, str]
    """Old name → new name, with dots; see ``codec.renames``."""
    close_timeout_seconds: float
    stale_after_seconds: float
    stall_timeout_seconds: float
    backup_seconds: float
    keep: int
    metadata: Mapping[str, object]
    heartbeat_seconds: float
    orphan_timeout_seconds: float
    hosts: str
    feeds: str
    removal_limit: float
    """The share of its rows in a database that a run may remove."""
    progress_every: int
    progress_bar: bool
    event_log: bool | str
    """A directory; ``True``: beside the store; ``False``: no event log."""
    web_token: str | None
    """Of the dashboard; ``None``: a new one each time. No crawl uses it."""
    event_directory: str
    """Where event logs are written, whether or not this crawl writes one."""


EXTENDS_START: Final = (
    "RESUME_START is 'once', but the job is extended: what start() yields is fetched again in each "
    "round. Remove RESUME_START, or go on with RESUME_MODE=resume"
)


def parse_settings(settings: BaseSettings) -> ResumeSettings:
    """All ``RESUME_*`` settings. Raises ``ConfigurationError`` for a wrong name or value."""
    _refuse_unknown_names(settings)
    values = {row.field: parse_setting(row.name, settings) for row in SETTINGS}
    if values["item_duplicates"] == "drop" and values["item_key"] is None:
        raise ConfigurationError(
            "RESUME_ITEM_DUPLICATES is 'drop', but RESUME_ITEM_KEY, which tells what a duplicate"
            " is, is not set. Set it to a field, a list of fields, or a function of the item."
        )
    values["store"] = store_location(settings)
    values["event_directory"] = str(event_directory(settings))
    if values["enabled"] and settings.get("JOBDIR"):
        raise ConfigurationError(
            f"JOBDIR ({settings['JOBDIR']!r}) cannot be used together with scrapy-resume: both"
            " would store the crawl's requests. Remove JOBDIR; the job is stored in RESUME_STORE"
            f" ({without_password(values['store'])})."
        )
    if values["backup_seconds"] and parsed_location(values["store"]).is_database:
        raise ConfigurationError(
            "RESUME_BACKUP copies the file of a job in SQLite, and the store is in PostgreSQL: back"
            " up its database with pg_dump (or one job by `scrapy resume backup`), and remove"
            " RESUME_BACKUP."
        )
    if values["mode"] == "extend" and values["start"] == "once":
        raise ConfigurationError(EXTENDS_START)
    return ResumeSettings(**values)


def _refuse_unknown_names(settings: BaseSettings) -> None:
    for name in settings:
        if not str(name).startswith("RESUME_") or name in BY_NAME:
            continue
        near = get_close_matches(name, BY_NAME, n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it."
        raise ConfigurationError(
            f"{name} is set, but there is no such setting; {remedy}"
            " All settings are listed in docs/settings.md."
        )


def with_spider(settings: ResumeSettings, spider: object) -> ResumeSettings:
    """The settings with the spider's ``resume_input_files`` and ``resume_metadata`` added.

    The spider's metadata has precedence. Raises ``ConfigurationError``.
    """
    files = _spider_attribute(spider, "resume_input_files", to.file_paths) or ()
    metadata = _spider_attribute(spider, "resume_metadata", to.json_object) or {}
    return replace(
        settings,
        input_files=tuple(dict.fromkeys((*settings.input_files, *files))),
        metadata=MappingProxyType({**settings.metadata, **metadata}),
    )


def _spider_attribute(spider: object, name: str, convert: Callable[[Any], Any]) -> Any:
    given = getattr(spider, name, None)
    if given is None:
        return None
    try:
        return convert(given)
    except ValueError as error:
        raise ConfigurationError(
            f"{type(spider).__name__}.{name} is {given!r}, but it must be {error}."
            " Correct it, or remove it."
        ) from error
