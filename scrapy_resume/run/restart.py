"""How the crawl of a job is started again: the command, and the directory that it runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy.utils.conf import closest_scrapy_cfg

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.run.launch import to_json

if TYPE_CHECKING:
    from scrapy_resume.run.launch import Launch


PYTHON: Final = "python"
"""The first word of a command that starts a program: this Python."""


def scrapy_words(
    launch: Launch,
    spider: str,
    arguments: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> list[str]:
    """The words after ``scrapy`` of the command that resumes the crawl.

    ``arguments`` and ``settings`` are given now; they override the recorded ones. Raises
    ``ConfigurationError`` if one that was withheld is not given now.
    """
    missing = [f"-a {name}=…" for name in launch.withheld_arguments if name not in arguments]
    missing += [f"-s {name}=…" for name in launch.withheld_settings if name not in settings]
    if missing:
        raise ConfigurationError(
            "Values that look like credentials, or are too long, are not kept with a job. Give "
            f"them again: {' '.join(missing)}"
        )
    target = launch.file if launch.command == "runspider" else spider
    assert target is not None
    words = [launch.command, target]
    for name, value in {**launch.arguments, **arguments}.items():
        words += ["-a", f"{name}={value}"]
    for name, value in {**launch.settings, **settings}.items():
        words += ["-s", f"{name}={_setting_text(value)}"]
    return words


def program_of(words: list[str], *, standalone: bool = False) -> list[str]:
    """The program and its arguments that run ``words`` (``scrapy …``) with this Python.

    ``standalone``: no module of the working directory is imported: that of the spider's file is
    searched by Scrapy.
    """
    if words[0] == PYTHON:
        return [sys.executable, *words[1:]]
    isolated = ["-P"] if standalone and sys.version_info >= (3, 11) else []
    return [sys.executable, *isolated, "-m", *words]


def program_words(launch: Launch) -> list[str]:
    """The words of the command that starts the program of a stage again.

    Raises ``ConfigurationError`` if it was no program, or a part of its arguments is withheld.
    """
    if launch.withheld_arguments:
        raise ConfigurationError(
            "arguments that look like credentials are not kept with a job "
            f"({', '.join(launch.withheld_arguments)}). Run the program again: it resumes the job"
        )
    if launch.module is not None:
        return [PYTHON, "-m", launch.module, *launch.words]
    if launch.file is None:
        raise ConfigurationError(
            "it was begun in a notebook, or at a prompt. Run it there again: it resumes the job"
        )
    if not Path(launch.file).is_file():
        raise ConfigurationError(
            f"the program {launch.file} is not there. Put it back, or run it where it is now"
        )
    return [PYTHON, launch.file, *launch.words]


def program_directory(launch: Launch) -> str:
    """The directory in which the program of a stage was started. Raises ``ConfigurationError``."""
    if not os.path.isdir(launch.directory):
        raise ConfigurationError(
            f"the directory {launch.directory} is not there, in which the program was started"
        )
    return launch.directory


def _setting_text(value: object) -> str:
    """A setting as text that Scrapy's command line turns back into the value."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return str(value)
    return to_json(value) or str(value)


def restart_directory(launch: Launch) -> str:
    """The directory to start the crawl in: where it was started, or the corresponding directory of
    a project that has moved, or the project itself if that directory does not exist.

    Raises ``ConfigurationError`` if the current project is not that of the job, or if the file or
    the directory of a ``runspider`` is missing.
    """
    if launch.command == "runspider":
        return _standalone_directory(launch)
    cfg = closest_scrapy_cfg()
    module = os.environ.get("SCRAPY_SETTINGS_MODULE")
    if not cfg and module is None:
        raise ConfigurationError(f"this is not a project: the job belongs to {_project_of(launch)}")
    if module != launch.settings_module:
        raise ConfigurationError(
            f"this is the project of {module}: the job belongs to {_project_of(launch)}"
        )
    here = os.path.dirname(os.path.abspath(cfg)) if cfg else os.getcwd()
    return next(_project_directories(launch, here))


def _project_directories(launch: Launch, here: str) -> Iterator[str]:
    """Existing directories to start the crawl in, the best first; ``here`` is the project's."""
    if launch.project is None or os.path.realpath(launch.project) == os.path.realpath(here):
        if os.path.isdir(launch.directory) and _is_in_line(launch.directory, here):
            yield launch.directory
    else:
        inside = os.path.relpath(launch.directory, launch.project)
        moved = os.path.normpath(os.path.join(here, inside))
        if not inside.startswith(os.pardir) and os.path.isdir(moved):
            yield moved
    yield here


def _is_in_line(directory: str, here: str) -> bool:
    """Whether one of them is in the other: what runs in a directory finds modules there first."""
    one, other = os.path.realpath(directory), os.path.realpath(here)
    return os.path.commonpath([one, other]) in (one, other)


def _standalone_directory(launch: Launch) -> str:
    if launch.file is None or not Path(launch.file).is_file():
        raise ConfigurationError(
            f"the spider's file {launch.file} is not there. Put it back, or run it where it is "
            "now: scrapy runspider FILE, with the job's arguments"
        )
    if not os.path.isdir(launch.directory):
        raise ConfigurationError(
            f"the directory {launch.directory} is not there, in which the crawl was started"
        )
    return launch.directory


def _project_of(launch: Launch) -> str:
    place = f" in {launch.project}" if launch.project else ""
    return f"that of {launch.settings_module}{place}. Give the command there"
