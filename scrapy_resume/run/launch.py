"""How a crawl was started, kept with its job; and how it is started again.

What is kept is what the command line gave: the spider, its arguments, the settings of ``-s``,
``-o`` and ``-O``, and where that was. What looks like a credential is not kept, only its name:
whoever goes on with the job gives it again.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy.settings import SETTINGS_PRIORITIES
from scrapy.utils.conf import closest_scrapy_cfg

from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

COMMANDS: Final = {
    "scrapy.commands.crawl": "crawl",
    "scrapy.commands.runspider": "runspider",
}

LONGEST_VALUE: Final = 16_384
LONGEST_LAUNCH: Final = 262_144
"""Characters of JSON; what is longer is not kept."""

WITHHELD: Final = "***"

OF_THE_JOB: Final = frozenset(
    {"RESUME_ENABLED", "RESUME_STORE", "RESUME_JOB", "RESUME_MODE", "RESUME_FORCE"}
)
"""Settings that say which job a crawl takes up: whoever goes on with one has said so."""

_SECRET_NAME: Final = re.compile(
    r"(?i)(^|[_\W])(pass|passwd|password|passphrase|pwd|secret|token|credentials?)([_\W]|$)"
    r"|password|secret|api_?key|access_?key|private_?key"
)
_SECRET_VALUE: Final = re.compile(r"://[^/@\s\"]*:[^/@\s\"]*@|(?i:password=)")


@dataclass(frozen=True)
class Launch:
    """What is kept of the start of a crawl."""

    command: str = ""
    """``crawl``, ``runspider``, or empty: a program of the user's own."""
    file: str | None = None
    """The spider's file (``runspider``), or the program's."""
    project: str | None = None
    """The directory of ``scrapy.cfg``."""
    settings_module: str | None = None
    directory: str = ""
    """The working directory."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The spider arguments."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Those of the command line, feeds among them."""
    withheld_settings: tuple[str, ...] = ()
    """Names of others, that look like credentials or cannot be written down."""
    withheld_arguments: tuple[str, ...] = ()


def launch_of(crawler: Crawler, arguments: Mapping[str, object]) -> dict[str, object]:
    """How this process has started the crawl, to be kept. Called while it is set up."""
    command = _command()
    spider_file = getattr(sys.modules.get(crawler.spidercls.__module__), "__file__", None)
    file = spider_file if command == "runspider" else None if command else sys.argv[0]
    cfg = closest_scrapy_cfg()
    kept_arguments, withheld_arguments = _kept(arguments)
    kept, withheld = _kept(given_settings(crawler.settings))
    launch = Launch(
        command=command,
        file=os.path.abspath(file) if file else None,
        project=os.path.dirname(os.path.abspath(cfg)) if cfg else None,
        settings_module=os.environ.get("SCRAPY_SETTINGS_MODULE"),
        directory=os.getcwd(),
        arguments=kept_arguments,
        settings=kept,
        withheld_settings=withheld,
        withheld_arguments=withheld_arguments,
    )
    return {name: value for name, value in asdict(launch).items() if value not in (None, {}, ())}


def launch_from(kept: Mapping[str, Any]) -> Launch:
    """What a job has kept; names that a newer version has added are left out."""
    fields = {name: kept[name] for name in Launch.__dataclass_fields__ if name in kept}
    for name in ("withheld_settings", "withheld_arguments"):
        fields[name] = tuple(fields.get(name, ()))
    return Launch(**fields)


def visible(arguments: Mapping[str, object]) -> dict[str, object]:
    """Spider arguments as they are kept: credentials are not."""
    return {
        name: WITHHELD if _is_withheld(name, value) else value for name, value in arguments.items()
    }


def _command() -> str:
    """The command of Scrapy that is running, which is on the stack to the end of the crawl."""
    frame = sys._getframe()
    while frame is not None:
        command = COMMANDS.get(frame.f_globals.get("__name__", ""))
        if command is not None:
            return command
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def given_settings(settings: BaseSettings) -> dict[str, Any]:
    """Settings of the command line; those that say which job is meant are left out."""
    return {
        str(name): settings[name]
        for name in settings
        if settings.getpriority(name) == SETTINGS_PRIORITIES["cmdline"] and name not in OF_THE_JOB
    }


def _kept(given: Mapping[str, object]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(those that can be kept, the names of the others)."""
    kept: dict[str, Any] = {}
    withheld = []
    room = LONGEST_LAUNCH
    for name, value in given.items():
        text = _as_json(value)
        if text is None or len(text) > min(LONGEST_VALUE, room) or _is_withheld(name, value):
            withheld.append(name)
        else:
            room -= len(text)
            kept[name] = json.loads(text)
    return kept, tuple(withheld)


def _as_json(value: object) -> str | None:
    """``None``: JSON cannot hold it."""
    copy = getattr(value, "copy_to_dict", None)
    try:
        return json.dumps(copy() if copy is not None else value)
    except (TypeError, ValueError):
        return None


def _is_withheld(name: str, value: object) -> bool:
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(str(value)))


# Starting it again


def words_of(
    launch: Launch,
    spider: str,
    arguments: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> list[str]:
    """The words after ``scrapy`` that go on with the crawl.

    ``arguments`` and ``settings`` are those that are given now; they come before the kept ones.
    Raises ``ConfigurationError`` for what was not kept and is not given now.
    """
    missing = [f"-a {name}=…" for name in launch.withheld_arguments if name not in arguments]
    missing += [f"-s {name}=…" for name in launch.withheld_settings if name not in settings]
    if missing:
        raise ConfigurationError(
            "What looks like a credential, or was too long, is not kept with a job. Give it "
            f"again: {' '.join(missing)}"
        )
    what = launch.file if launch.command == "runspider" else spider
    assert what is not None
    words = [launch.command, what]
    for name, value in {**launch.arguments, **arguments}.items():
        words += ["-a", f"{name}={value}"]
    for name, value in {**launch.settings, **settings}.items():
        words += ["-s", f"{name}={_as_text(value)}"]
    return words


def program_of(words: list[str]) -> list[str]:
    """What runs these words, ``scrapy`` and what follows it, by this Python."""
    return [sys.executable, "-m", *words]


def _as_text(value: object) -> str:
    """As Scrapy understands it on its command line."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return str(value)
    return _as_json(value) or str(value)


def directory_of(launch: Launch) -> str:
    """Where to start it: where it was started, or the same place in a project that has moved.

    Raises ``ConfigurationError``, with what is missing, if this is not the project.
    """
    if launch.command == "runspider":
        return _standalone_directory(launch)
    cfg = closest_scrapy_cfg()
    module = os.environ.get("SCRAPY_SETTINGS_MODULE")
    if not cfg and module is None:
        raise ConfigurationError(f"this is no project: the job belongs to {_project_of(launch)}")
    if module != launch.settings_module:
        raise ConfigurationError(
            f"this is the project of {module}: the job belongs to {_project_of(launch)}"
        )
    here = os.path.dirname(os.path.abspath(cfg)) if cfg else os.getcwd()
    return next(_places(launch, here))


def _places(launch: Launch, here: str) -> Iterator[str]:
    if launch.project is None or os.path.realpath(launch.project) == os.path.realpath(here):
        if os.path.isdir(launch.directory):
            yield launch.directory
    else:
        inside = os.path.relpath(launch.directory, launch.project)
        moved = os.path.normpath(os.path.join(here, inside))
        if not inside.startswith(os.pardir) and os.path.isdir(moved):
            yield moved
    yield here


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
