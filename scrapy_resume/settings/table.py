"""The table of the ``RESUME_*`` settings: names, defaults and conversions."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from scrapy.settings import BaseSettings

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings import convert as to
from scrapy_resume.settings.masking import masked_value


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
        to.one_of("auto", "fresh", "resume", "once", "retry-failed", "delta", "extend"),
    ),
    Setting("RESUME_DELTA_START", "delta_start", "fetch", to.one_of("fetch", "skip")),
    Setting("RESUME_START", "start", "always", to.one_of("always", "once")),
    Setting("RESUME_FORCE", "force", False, to.boolean),
    Setting("RESUME_ORDER", "order", None, to.one_of("dfo", "bfo")),
    Setting("RESUME_ITEM_KEY", "item_key", None, to.item_key),
    Setting("RESUME_ITEM_DUPLICATES", "item_duplicates", "update", to.one_of("update", "drop")),
    Setting("RESUME_STEPS", "steps", {}, to.step_orders),
    Setting("RESUME_STEP_CONCURRENCY", "step_concurrency", 8, to.whole_number(1)),
    Setting("RESUME_STATS", "stats", "run", to.one_of("run", "job")),
    Setting("RESUME_STATE", "component_state", {}, to.component_attributes),
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
    Setting("RESUME_RETRY_ROUNDS", "retry_rounds", 0, to.whole_number(0)),
    Setting("RESUME_SKIP", "skip", [], to.skip_rules),
    Setting("RESUME_BREAKER_FAILURES", "breaker_failures", 0, to.whole_number(0)),
    Setting("RESUME_BREAKER_PROBES", "breaker_probes", 5, to.whole_number(1)),
    Setting("RESUME_BREAKER_COOLDOWN", "breaker_cooldown_seconds", 60, to.number(0)),
    Setting("RESUME_CRASH_LIMIT", "crash_limit", 3, to.whole_number(1)),
    Setting("RESUME_IGNORED_HTTP_CODES", "ignored_http_codes", [404, 410], to.http_codes),
    Setting("RESUME_CODECS", "codecs", {}, to.codec_paths),
    Setting("RESUME_TRUSTED", "trusted", [], to.module_prefixes),
    Setting("RESUME_RENAMED", "renamed", {}, to.renamed_names),
    Setting("RESUME_CLOSE_TIMEOUT", "close_timeout_seconds", 30, to.number(0)),
    Setting("RESUME_STALE_AFTER", "stale_after_seconds", 86_400, to.number(1)),
    Setting("RESUME_STALL_TIMEOUT", "stall_timeout_seconds", 600, to.number(1)),
    Setting("RESUME_BACKUP", "backup_seconds", 0, to.number(0)),
    Setting("RESUME_KEEP", "keep", 0, to.whole_number(0)),
    Setting("RESUME_METADATA", "metadata", {}, to.json_object),
    Setting("RESUME_HEARTBEAT", "heartbeat_seconds", 10, to.number(0.1)),
    Setting("RESUME_ORPHAN_TIMEOUT", "orphan_timeout_seconds", 30, to.number(1)),
    Setting("RESUME_HOSTS", "hosts", "exclusive", to.one_of("exclusive", "shared")),
    Setting("RESUME_FEEDS", "feeds", "whole", to.one_of("whole", "parts")),
    Setting("RESUME_REMOVAL_LIMIT", "removal_limit", 0.1, to.number(0, 1)),
    Setting("RESUME_PROGRESS_EVERY", "progress_every", 100, to.whole_number(1)),
    Setting("RESUME_PROGRESS_BAR", "progress_bar", True, to.boolean),
    Setting("RESUME_EVENT_LOG", "event_log", False, to.switch_or_directory),
    Setting("RESUME_WEB_TOKEN", "web_token", None, to.text),
)

BY_NAME: Final = {row.name: row for row in SETTINGS}


def parse_setting(name: str, settings: BaseSettings) -> Any:
    """The converted value of one setting. A setting that is ``None`` has its default.

    Raises ``ConfigurationError``.
    """
    row = BY_NAME[name]
    given = settings.get(row.name)
    if given is None and row.default is None:
        return None
    try:
        converted = row.convert(row.default if given is None else given)
    except ValueError as error:
        raise ConfigurationError(
            f"{row.name} is {masked_value(given)}, but it must be {error}."
            f" Correct it, or remove it to use the default ({row.default!r})."
        ) from error
    return MappingProxyType(converted) if isinstance(converted, dict) else converted
