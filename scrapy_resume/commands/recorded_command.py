"""The command that ``scrapy resume run`` starts: as the job's crawl was started last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.model import STAGE

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.model import JobSummary
    from scrapy_resume.run.launch import Launch
    from scrapy_resume.run.recorded_launch import Surroundings


def recorded_command(
    call: Invocation, summary: JobSummary, given: dict[str, str]
) -> tuple[list[str], str, list[str]]:
    """(the words of the command, the directory that it is run in, what of it is doubtful)."""
    from scrapy_resume.run.launch import given_settings, launch_from
    from scrapy_resume.run.recorded_launch import doubts
    from scrapy_resume.run.restart import restart_directory, scrapy_words

    launch = launch_from(summary.launch or {})
    if launch.command == STAGE:
        return _program(call, summary, launch)
    _refuse_if_unknown(summary, launch)
    try:
        directory = restart_directory(launch)
        if launch.command == "crawl":
            _refuse_without_spider(call, summary)
        settings = given_settings(call.settings)
        words = scrapy_words(launch, summary.spider, given, settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{summary.key} cannot be resumed: {error}") from error
    words += ["-s", f"RESUME_JOB={summary.key.name}", "-s", "RESUME_MODE=resume"]
    doubtful = doubts(launch, summary.spider, settings, _surroundings(call, summary, directory))
    return ["scrapy", *words, *_store_words(call)], directory, list(doubtful)


def _program(
    call: Invocation, summary: JobSummary, launch: Launch
) -> tuple[list[str], str, list[str]]:
    """The same of the program of a stage. It opens the store that it names itself."""
    from scrapy_resume.run.recorded_launch import program_doubts
    from scrapy_resume.run.restart import program_directory, program_words

    try:
        words, directory = program_words(launch), program_directory(launch)
    except ConfigurationError as error:
        raise ConfigurationError(f"{summary.key} cannot be resumed: {error}") from error
    return words, directory, list(program_doubts(launch, _surroundings(call, summary, directory)))


def doubtful_words(call: Invocation, summary: JobSummary) -> list[str]:
    """What of the job's recorded command is not started on the store's word alone.

    Raises ConfigurationError if it cannot be started from here at all.
    """
    return recorded_command(call, summary, {})[2]


def _surroundings(call: Invocation, summary: JobSummary, directory: str) -> Surroundings:
    from scrapy.utils.conf import closest_scrapy_cfg

    from scrapy_resume.feeds.ownership_note import NoteFile
    from scrapy_resume.run.recorded_launch import Surroundings
    from scrapy_resume.settings.trusted import trusted_packages

    roots = [Path.cwd()]
    cfg = closest_scrapy_cfg()
    if cfg:
        roots.append(Path(cfg).parent)
    store = None
    if "://" not in call.store_location():
        store = Path(call.store_location()).resolve()
        above = store.parent
        roots.append(above.parent if above.name == ".scrapy" else above)
    owner = f"{summary.key} of {summary.created_at!r}"
    return Surroundings(
        directory=Path(directory),
        roots=[root.resolve() for root in roots],
        store=store,
        packages=trusted_packages(call.settings),
        is_own_feed=lambda path: NoteFile(path.resolve(), owner).path.is_file(),
    )


def _refuse_if_unknown(summary: JobSummary, launch: Launch) -> None:
    if not launch.command:
        how = f"by a program ({launch.file})" if launch.file else "in a way that is not recorded"
        raise ConfigurationError(
            f"{summary.key} was started {how}. Run that again: it resumes the job"
        )


def _refuse_without_spider(call: Invocation, summary: JobSummary) -> None:
    from scrapy.spiderloader import get_spider_loader

    if summary.spider not in get_spider_loader(call.settings).list():
        raise ConfigurationError(f"this project has no spider {summary.spider}")


def _store_words(call: Invocation) -> list[str]:
    """The option that names the store. The URL of a database may contain a password, which every
    user could read in the list of processes: it is passed on only if it was given there."""
    location = call.store_location()
    if not location.is_database:
        return ["-s", f"RESUME_STORE={location}"]
    given: Any = call.settings.getpriority("RESUME_STORE")
    return ["-s", f"RESUME_STORE={location}"] if given == _CMDLINE else []


_CMDLINE: Final = 40
"""Scrapy's priority of the command line (``SETTINGS_PRIORITIES``)."""
