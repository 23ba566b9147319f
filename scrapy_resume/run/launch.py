"""How a crawl was started, as it is recorded with its job.

Recorded is what the command line gave: the command, the spider arguments, the settings of ``-s``,
``-o`` and ``-O``, and the directory. Of a value that looks like a credential only the name is
recorded: whoever resumes the job gives the value again.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
from scrapy.settings import SETTINGS_PRIORITIES
from scrapy.utils.conf import closest_scrapy_cfg

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.model import STAGE

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

COMMANDS: Final = {
    "scrapy.commands.crawl": "crawl",
    "scrapy.commands.runspider": "runspider",
}
"""Module of a command of Scrapy → its name."""

LONGEST_VALUE: Final = 16_384
"""Characters of JSON; a longer value is withheld."""

LONGEST_LAUNCH: Final = 262_144
"""Characters of JSON of all arguments, and of all settings; values beyond it are withheld."""

MASK: Final = "***"

JOB_SETTINGS: Final = frozenset(
    {"RESUME_ENABLED", "RESUME_STORE", "RESUME_JOB", "RESUME_MODE", "RESUME_FORCE"}
)
"""Settings that select the job of a crawl. They are not recorded: the command that resumes a job
selects it itself."""

_SECRET_NAME: Final = re.compile(
    r"(?i)(^|[_\W])(pass|passwd|password|passphrase|pwd|secret|token|credentials?)([_\W]|$)"
    r"|password|secret|api_?key|access_?key|private_?key|session_?(id|key)"
    r"|(^|[_\W])(cookies?|auth|authorization|bearer|jwt)$"  # not COOKIES_ENABLED
)
_SECRET_VALUE: Final = re.compile(r"://[^/@\s\"]*:[^/@\s\"]*@|(?i:password=)")


@dataclass(frozen=True)
class Launch:
    """The recorded start of a crawl."""

    command: str = ""
    """``crawl``, ``runspider``, or empty: a program that uses Scrapy's API."""
    file: str | None = None
    """The spider's file (``runspider``), or that of the program."""
    project: str | None = None
    """The directory of ``scrapy.cfg``."""
    settings_module: str | None = None
    directory: str = ""
    """The working directory."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The spider arguments."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the command line, feeds among them."""
    withheld_settings: tuple[str, ...] = ()
    """Names of settings whose values look like credentials, are too long, or are not JSON."""
    withheld_arguments: tuple[str, ...] = ()
    """Names of spider arguments with such values."""
    words: tuple[str, ...] = ()
    """Of a stage: the arguments of its program."""
    module: str | None = None
    """Of a stage: the module of its program (``python -m``)."""


def launch_of(crawler: Crawler, arguments: Mapping[str, object]) -> dict[str, object]:
    """The fields of the ``Launch`` of this process, without empty ones, for the store.

    Called while the crawler is set up, when Scrapy's command is on the stack.
    """
    command = _command()
    spider_file = getattr(sys.modules.get(crawler.spidercls.__module__), "__file__", None)
    file = spider_file if command == "runspider" else None if command else sys.argv[0]
    cfg = closest_scrapy_cfg()
    recorded_arguments, withheld_arguments = _split(arguments)
    recorded_settings, withheld_settings = _split(given_settings(crawler.settings))
    launch = Launch(
        command=command,
        file=os.path.abspath(file) if file else None,
        project=os.path.dirname(os.path.abspath(cfg)) if cfg else None,
        settings_module=os.environ.get("SCRAPY_SETTINGS_MODULE"),
        directory=os.getcwd(),
        arguments=recorded_arguments,
        settings=recorded_settings,
        withheld_settings=withheld_settings,
        withheld_arguments=withheld_arguments,
    )
    return {name: value for name, value in asdict(launch).items() if value not in (None, {}, ())}


def launch_from(recorded: Mapping[str, Any]) -> Launch:
    """The launch that the store has recorded. Fields of a newer version are ignored.

    Raises ``StoreDamagedError`` for a command that is none of ``COMMANDS``, and for fields of
    other types.
    """
    fields = {name: recorded[name] for name in Launch.__dataclass_fields__ if name in recorded}
    try:
        found = msgspec.convert(fields, Launch)
    except msgspec.ValidationError as error:
        raise StoreDamagedError(f"the job's recorded start cannot be read ({error})") from error
    # Another program may have written it: what is never recorded is not taken, either.
    arguments, withheld_arguments = _split(found.arguments)
    settings, withheld_settings = _split(found.settings)
    launch = replace(
        found,
        arguments=arguments,
        settings={name: value for name, value in settings.items() if name not in JOB_SETTINGS},
        withheld_arguments=_together(found.withheld_arguments, withheld_arguments),
        withheld_settings=_together(found.withheld_settings, withheld_settings),
    )
    if launch.command not in ("", STAGE, *COMMANDS.values()):
        raise StoreDamagedError(
            f"the job's recorded command is {launch.command!r}, which starts no crawl"
        )
    return launch


def _together(*names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for some in names for name in some))


def launch_of_program() -> dict[str, object]:
    """The fields of the ``Launch`` of this process, whose program runs a stage: its file or module,
    and its arguments. Of arguments that look like credentials nothing is recorded."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    spec = getattr(main, "__spec__", None)
    cfg = closest_scrapy_cfg()
    words = sys.argv[1:] if file else []
    secret = _secret_words(words)
    launch = Launch(
        command=STAGE,
        file=os.path.abspath(file) if file and os.path.isfile(file) else None,
        project=os.path.dirname(os.path.abspath(cfg)) if cfg else None,
        settings_module=os.environ.get("SCRAPY_SETTINGS_MODULE"),
        directory=os.getcwd(),
        words=() if secret else tuple(words),
        module=None if spec is None else spec.name.removesuffix(".__main__"),
        withheld_arguments=secret,
    )
    return {name: value for name, value in asdict(launch).items() if value not in (None, {}, ())}


def _secret_words(words: Sequence[str]) -> tuple[str, ...]:
    """The options among the words of a command line whose values look like credentials."""
    names = []
    for place, word in enumerate(words):
        option = word.partition("=")[0]
        name = option.lstrip("-").replace("-", "_")
        if (option.startswith("-") and _SECRET_NAME.search(name)) or _SECRET_VALUE.search(word):
            names.append(option if option.startswith("-") else f"argument {place + 1}")
    return tuple(names)


def masked(arguments: Mapping[str, object]) -> dict[str, object]:
    """The spider arguments, with ``***`` in place of values that look like credentials."""
    return {name: MASK if _is_secret(name, value) else value for name, value in arguments.items()}


def without_secrets(arguments: Mapping[str, object]) -> dict[str, object]:
    """The spider arguments, but for those whose values look like credentials."""
    return {name: value for name, value in arguments.items() if not _is_secret(name, value)}


def _command() -> str:
    """The command of Scrapy that runs: it stays on the stack to the end of the crawl."""
    frame = sys._getframe()
    while frame is not None:
        command = COMMANDS.get(frame.f_globals.get("__name__", ""))
        if command is not None:
            return command
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def given_settings(settings: BaseSettings) -> dict[str, Any]:
    """The settings of the command line, except ``JOB_SETTINGS``."""
    return {
        str(name): settings[name]
        for name in settings
        if settings.getpriority(name) == SETTINGS_PRIORITIES["cmdline"] and name not in JOB_SETTINGS
    }


def _split(given: Mapping[str, object]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the values that are recorded, the names of those that are withheld)."""
    recorded: dict[str, Any] = {}
    withheld = []
    room = LONGEST_LAUNCH
    for name, value in given.items():
        text = to_json(value)
        if text is None or len(text) > min(LONGEST_VALUE, room) or _is_secret(name, value):
            withheld.append(name)
        else:
            room -= len(text)
            recorded[name] = json.loads(text)
    return recorded, tuple(withheld)


def to_json(value: object) -> str | None:
    """A value of an argument or a setting as JSON. ``None``: JSON cannot hold it."""
    copy = getattr(value, "copy_to_dict", None)
    try:
        return json.dumps(copy() if copy is not None else value)
    except (TypeError, ValueError):
        return None


def _is_secret(name: str, value: object) -> bool:
    # Scrapy's settings are objects whose text does not show what is in them.
    text = value if isinstance(value, str) else to_json(value) or str(value)
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(text))
