"""Settings: ``RESUME_*``, parsed once and frozen, and what Scrapy's own say about order.

``SETTINGS`` is the one table of names and defaults.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

from scrapy.settings import BaseSettings
from scrapy.utils.conf import closest_scrapy_cfg, get_config
from scrapy.utils.misc import load_object

from scrapy_resume import conversions as to
from scrapy_resume.conversions import ItemKey
from scrapy_resume.errors import ConfigurationError, InputChangedError


class Setting(NamedTuple):
    """A row of the table."""

    name: str
    field: str
    """Its name in ``ResumeSettings``."""
    default: object
    convert: Callable[[Any], object]


SETTINGS: Final = (
    Setting("RESUME_ENABLED", "enabled", True, to.boolean),
    Setting("RESUME_STORE", "store", None, to.location),
    Setting("RESUME_JOB", "job", None, to.text),
    Setting(
        "RESUME_MODE",
        "mode",
        "auto",
        to.one_of("auto", "fresh", "resume", "once", "retry-failed", "delta"),
    ),
    Setting("RESUME_START", "start", "always", to.one_of("always", "once")),
    Setting("RESUME_FORCE", "force", False, to.boolean),
    Setting("RESUME_ORDER", "order", None, to.one_of("dfo", "bfo")),
    Setting("RESUME_ITEM_KEY", "item_key", None, to.item_key),
    Setting("RESUME_INPUT_FILES", "input_files", [], to.file_paths),
    Setting(
        "RESUME_ON_INPUT_CHANGE",
        "on_input_change",
        "refuse",
        to.one_of("refuse", "warn", "fresh"),
    ),
    Setting("RESUME_COMMIT_INTERVAL", "commit_interval_seconds", 0.1, to.number(0.001, 60)),
    Setting("RESUME_DURABILITY", "durability", "normal", to.one_of("normal", "full")),
    Setting("RESUME_RETRY_DELAY", "retry_delay_seconds", 1.0, to.number(0)),
    Setting("RESUME_RETRY_DELAY_MAX", "retry_delay_max_seconds", 600, to.number(0)),
    Setting("RESUME_RETRY_WAIT", "retry_wait_seconds", 900, to.number(0)),
    Setting("RESUME_BREAKER_FAILURES", "breaker_failures", 0, to.whole_number(0)),
    Setting("RESUME_BREAKER_PROBES", "breaker_probes", 5, to.whole_number(1)),
    Setting("RESUME_BREAKER_COOLDOWN", "breaker_cooldown_seconds", 60, to.number(0)),
    Setting("RESUME_CRASH_LIMIT", "crash_limit", 3, to.whole_number(1)),
    Setting("RESUME_IGNORED_HTTP_CODES", "ignored_http_codes", [404, 410], to.http_codes),
    Setting("RESUME_CODECS", "codecs", {}, to.codec_paths),
    Setting("RESUME_CLOSE_TIMEOUT", "close_timeout_seconds", 30, to.number(0)),
    Setting("RESUME_STALL_TIMEOUT", "stall_timeout_seconds", 600, to.number(1)),
    Setting("RESUME_KEEP", "keep", 3, to.whole_number(0)),
    Setting("RESUME_METADATA", "metadata", {}, to.json_object),
    Setting("RESUME_HEARTBEAT", "heartbeat_seconds", 10, to.number(0.1)),
    Setting("RESUME_ORPHAN_TIMEOUT", "orphan_timeout_seconds", 30, to.number(1)),
    Setting("RESUME_HOSTS", "hosts", "exclusive", to.one_of("exclusive", "shared")),
    Setting("RESUME_FEEDS", "feeds", "whole", to.one_of("whole", "parts")),
    Setting("RESUME_PROGRESS_EVERY", "progress_every", 100, to.whole_number(1)),
    Setting("RESUME_PROGRESS_BAR", "progress_bar", True, to.boolean),
    Setting("RESUME_EVENT_LOG", "event_log", False, to.switch_or_directory),
)

_BY_NAME: Final = {row.name: row for row in SETTINGS}


@dataclass(frozen=True)
class ResumeSettings:
    """The settings of one crawl. What a setting means is in docs/settings.md."""

    enabled: bool
    store: str = field(repr=False)  # it may have a password in it
    """An absolute directory, or the URL of a database."""
    job: str | None
    """``None``: derived from spider and arguments, see ``job_name``."""
    mode: str
    start: str
    force: bool
    order: str | None
    item_key: ItemKey | None
    input_files: tuple[str, ...]
    on_input_change: str
    commit_interval_seconds: float
    durability: str
    retry_delay_seconds: float
    retry_delay_max_seconds: float
    retry_wait_seconds: float
    breaker_failures: int
    breaker_probes: int
    breaker_cooldown_seconds: float
    crash_limit: int
    ignored_http_codes: frozenset[int]
    codecs: Mapping[str, Any]
    """Type path → codec path."""
    close_timeout_seconds: float
    stall_timeout_seconds: float
    keep: int
    metadata: Mapping[str, object]
    heartbeat_seconds: float
    orphan_timeout_seconds: float
    hosts: str
    feeds: str
    progress_every: int
    progress_bar: bool
    event_log: bool | str
    """A directory, or ``True``: beside the store."""
    event_directory: str
    """Where events are kept, or would be."""


def parse_settings(settings: BaseSettings) -> ResumeSettings:
    """All ``RESUME_*`` settings, checked. Raises ``ConfigurationError``."""
    _refuse_unknown_names(settings)
    values = {row.field: parse_setting(row.name, settings) for row in SETTINGS}
    values["store"] = store_location(settings)
    values["event_directory"] = str(event_directory(settings))
    if values["enabled"] and settings.get("JOBDIR"):
        raise ConfigurationError(
            f"JOBDIR is set ({settings['JOBDIR']!r}) beside scrapy-resume, and both would keep"
            " the crawl's requests. Remove JOBDIR: the job is kept in RESUME_STORE"
            f" ({without_password(values['store'])})."
        )
    return ResumeSettings(**values)


def _refuse_unknown_names(settings: BaseSettings) -> None:
    for name in settings:
        if not str(name).startswith("RESUME_") or name in _BY_NAME:
            continue
        near = get_close_matches(name, _BY_NAME, n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it."
        raise ConfigurationError(
            f"{name} is set, but there is no such setting; {remedy}"
            " The names are listed in docs/settings.md."
        )


def parse_setting(name: str, settings: BaseSettings) -> Any:
    """One setting's value; ``None`` is the same as leaving it out.

    Raises ``ConfigurationError``.
    """
    row = _BY_NAME[name]
    given = settings.get(row.name)
    if given is None and row.default is None:
        return None
    try:
        converted = row.convert(row.default if given is None else given)
    except ValueError as error:
        raise ConfigurationError(
            f"{row.name} is {without_password(repr(given))}, but it has to be {error}."
            f" Correct it, or remove it for its default ({row.default!r})."
        ) from error
    return MappingProxyType(converted) if isinstance(converted, dict) else converted


def with_spider(settings: ResumeSettings, spider: object) -> ResumeSettings:
    """With what the spider's ``resume_input_files`` and ``resume_metadata`` add.

    A key that both have is the spider's. Raises ``ConfigurationError``.
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
            f"{type(spider).__name__}.{name} is {given!r}, but it has to be {error}."
            " Correct it, or remove it."
        ) from error


def store_location(settings: BaseSettings) -> str:
    """Where jobs are kept: an absolute directory, or the URL of a PostgreSQL database.

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
        f"RESUME_STORE begins with {scheme[0]!r}, which is no store that scrapy-resume knows."
        " Give a directory, or a postgresql:// URL."
    )


def event_directory(settings: BaseSettings) -> Path:
    """Where events are kept: what RESUME_EVENT_LOG names, or beside the jobs; for a database, where
    they would be without one. Creates nothing. Raises ``ConfigurationError``."""
    given = parse_setting("RESUME_EVENT_LOG", settings)
    if isinstance(given, str):
        return Path(given).expanduser().absolute()
    location = store_location(settings)
    jobs = _data_directory() / "resume" if "://" in location else Path(location)
    return jobs / "events"


def without_password(location: str) -> str:
    """The location, fit to be shown.

    A password with ``@``, ``/`` or ``?`` in it should have been written in percent escapes; if it
    was not, rather too much is hidden than too little.
    """
    hidden = re.sub(r"(?s)://([^:@/?]*)[:/?].*@", r"://\1:***@", location)
    return re.sub(r"([?&])([^=&]*)=([^&]*)", _without_secret, hidden)


def _without_secret(parameter: re.Match[str]) -> str:
    mark, name, _ = parameter.groups()
    return f"{mark}{name}=***" if "pass" in unquote(name).lower() else parameter[0]


def _data_directory() -> Path:
    """Scrapy's data directory; Scrapy's own function would create it, and import the project."""
    cfg_path = closest_scrapy_cfg()
    if not cfg_path:
        return Path.cwd() / ".scrapy"
    cfg = get_config()
    if cfg.has_option("datadir", "default"):
        return Path(cfg.get("datadir", "default")).absolute()
    return Path(cfg_path).parent / ".scrapy"


def job_name(spider_name: str, arguments: Mapping[str, object], explicit: str | None) -> str:
    """The job's name: ``explicit``, or the spider's with 8 hex digits of its arguments.

    Arguments that begin with ``_`` do not count: scrapyd's ``_job`` is another one for each
    process. The digits are the first of the SHA-256 of the arguments as sorted JSON. Raises
    ``ConfigurationError`` for arguments that look different in each process.
    """
    if explicit is not None:
        return explicit
    counted = {name: value for name, value in arguments.items() if not name.startswith("_")}
    if not counted:
        return spider_name
    try:
        canonical = json.dumps(counted, sort_keys=True, ensure_ascii=False, default=_as_text)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"No job name can be derived from the spider arguments ({error})."
            " Name the job: RESUME_JOB."
        ) from error
    return f"{spider_name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"


def _as_text(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    shown = repr(value)
    if re.search(r" at 0x[0-9a-fA-F]+", shown):
        raise ValueError(f"{shown} looks different in each process")
    return shown


def hash_inputs(paths: Iterable[str], recorded: Collection[str] = ()) -> dict[str, str]:
    """Path → SHA-256 in hex. ``recorded`` are the paths that were hashed when the job began.

    Raises ``InputChangedError`` for a file of these that cannot be read now, and
    ``ConfigurationError`` for any other that cannot be read.
    """
    hashes: dict[str, str] = {}
    for path in paths:
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            trouble = f"The input file {path} cannot be read ({error.strerror})"
            if path in recorded:
                raise InputChangedError(
                    f"{trouble}, but the job began with it. Put it back, or begin a new job:"
                    " RESUME_MODE=fresh."
                ) from error
            raise ConfigurationError(
                f"{trouble}. Mend its path in RESUME_INPUT_FILES or in the spider's"
                " resume_input_files, or remove it there."
            ) from error
        hashes[path] = digest.hexdigest()
    return hashes


_BY_SLOT: Final = {"DownloaderAwarePriorityQueue": True, "ScrapyPriorityQueue": False}
_LIFO: Final = {"LifoMemoryQueue": True, "FifoMemoryQueue": False}
_DEDUPE: Final = {"RFPDupeFilter": True, "BaseDupeFilter": False}


@dataclass(frozen=True)
class QueueOrder:
    """The order in which requests are handed out."""

    by_slot: bool
    """The least active download slot comes first, in it priority; otherwise priority alone."""
    lifo: bool
    """Of equal priority, the last comes first; otherwise the first."""
    start: Literal["fifo", "lifo"] | None
    """The order of start requests among themselves, after others of their priority;
    ``None``: they are as any others."""
    dedupe: bool
    """Requests whose fingerprint is known are dropped."""


def queue_order(settings: BaseSettings) -> QueueOrder:
    """The order that Scrapy's queue settings ask for; RESUME_ORDER has the last word.

    The scheduler keeps requests in the store and uses none of Scrapy's queues, it hands
    requests out as they would. ``dfo`` is last in, first out; ``bfo`` is first in, first
    out, whoever yielded them. Raises ``ConfigurationError`` for a class of the user's own.
    """
    by_slot = _known(settings, "SCHEDULER_PRIORITY_QUEUE", "scrapy.pqueues", _BY_SLOT)
    dedupe = _known(settings, "DUPEFILTER_CLASS", "scrapy.dupefilters", _DEDUPE)
    lifo = _known(settings, "SCHEDULER_MEMORY_QUEUE", "scrapy.squeues", _LIFO)
    start: Literal["fifo", "lifo"] | None = None
    if settings.get("SCHEDULER_START_MEMORY_QUEUE"):
        start_lifo = _known(settings, "SCHEDULER_START_MEMORY_QUEUE", "scrapy.squeues", _LIFO)
        start = "lifo" if start_lifo else "fifo"
    order = parse_setting("RESUME_ORDER", settings)
    if order == "dfo":
        lifo = True
    elif order == "bfo":
        lifo, start = False, None
    return QueueOrder(by_slot=by_slot, lifo=lifo, start=start, dedupe=dedupe)


def _known(settings: BaseSettings, name: str, module: str, known: Mapping[str, bool]) -> bool:
    """What is known of the class that the setting names; the first is Scrapy's default.

    A subclass has a name of its own, so it is refused: it may order as it likes.
    """
    answers = {load_object(f"{module}.{class_name}"): known[class_name] for class_name in known}
    given = settings.get(name) or next(iter(answers))
    try:
        return answers[load_object(given)]
    except (ImportError, NameError, ValueError, KeyError, TypeError):
        choices = " or ".join(f"{module}.{class_name}" for class_name in known)
        raise ConfigurationError(
            f"{name} is {_path_of(given)}, whose behaviour cannot be reproduced from the store."
            f" Remove {name}, or set it to {choices}. Priorities say what is fetched first,"
            " REQUEST_FINGERPRINTER_CLASS says what is a duplicate."
        ) from None


def _path_of(given: Any) -> str:
    return f"{given.__module__}.{given.__qualname__}" if isinstance(given, type) else str(given)
