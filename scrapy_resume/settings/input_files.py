"""The input files of a crawl: their hashes, and what is done when they have changed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from scrapy_resume.errors import ConfigurationError, InputChangedError

if TYPE_CHECKING:
    from scrapy_resume.model import JobKey

logger = logging.getLogger("scrapy_resume")


class Ways(NamedTuple):
    """How one says what is to be done about changed inputs."""

    what: str
    fresh: str
    warn: str
    setting: str
    paths: str


OF_CRAWLS: Final = Ways(
    "crawl",
    "RESUME_MODE=fresh",
    "RESUME_ON_INPUT_CHANGE=warn",
    "RESUME_ON_INPUT_CHANGE",
    "RESUME_INPUT_FILES or in the spider's resume_input_files",
)
OF_STAGES: Final = Ways(
    "stage",
    'mode="fresh"',
    'on_input_change="warn"',
    "on_input_change",
    "the stage's input_files",
)


def hash_inputs(
    paths: Iterable[str], recorded: Collection[str] = (), ways: Ways = OF_CRAWLS
) -> dict[str, str]:
    """Path → SHA-256 in hex. ``recorded``: the paths that were hashed when the job began.

    A file that cannot be read raises ``InputChangedError`` if it is one of ``recorded``, and
    ``ConfigurationError`` otherwise.
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
                    f"{trouble}, but the job began with it. Restore it, or begin a new job with"
                    f" {ways.fresh}."
                ) from error
            raise ConfigurationError(
                f"{trouble}. Correct its path in {ways.paths}, or remove it there."
            ) from error
        hashes[path] = digest.hexdigest()
    return hashes


def changed_inputs(recorded: Mapping[str, str], hashes: Mapping[str, str]) -> list[str]:
    """The paths, sorted, of the files that were changed, added or removed."""
    return sorted(
        path for path in hashes.keys() | recorded.keys() if hashes.get(path) != recorded.get(path)
    )


def begins_new_job(
    on_input_change: str, job: JobKey, changed: Collection[str], ways: Ways = OF_CRAWLS
) -> bool:
    """Whether a new job begins in place of ``job``, because its input files ``changed``.

    ``on_input_change`` is the value of RESUME_ON_INPUT_CHANGE. Logs a warning if files changed;
    raises ``InputChangedError`` if the value is ``refuse``.
    """
    if not changed:
        return False
    text = f"{job} began with other input: {', '.join(changed)} changed since. "
    if on_input_change == "refuse":
        raise InputChangedError(
            f"{text}Put the old input back, or begin a new job with {ways.fresh}, or go on all the"
            f" same with {ways.warn}."
        )
    if on_input_change == "warn":
        logger.warning("%sThe %s goes on, as %s says.", text, ways.what, ways.setting)
        return False
    logger.warning("%sA new job begins, as %s says.", text, ways.setting)
    return True
