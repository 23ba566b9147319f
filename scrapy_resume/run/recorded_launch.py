"""What of a recorded launch is not started on the store's word alone.

Whoever can write to a job's file can write any command line into it. So ``scrapy resume run``
starts only what is a crawl: a spider of the project, or a file that defines the job's spider, in a
directory of theirs. Settings that are numbers, switches or plain words are taken as recorded;
those that name code, files or addresses only if these are the project's, or lie in the job's
surroundings.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from scrapy_resume.run.launch import Launch

FREE_TEXT: Final = frozenset(
    {
        "BOT_NAME",
        "DEFAULT_REQUEST_HEADERS",
        "DOWNLOAD_SLOTS",
        "FEED_EXPORT_FIELDS",
        "LOG_DATEFORMAT",
        "LOG_FORMAT",
        "RESUME_METADATA",
        "ROBOTSTXT_USER_AGENT",
        "USER_AGENT",
    }
)
"""Settings whose values are shown or sent, and name neither code nor files."""

PATHS: Final = {
    "FILES_STORE": (),
    "HTTPCACHE_DIR": (),
    "IMAGES_STORE": (),
    "LOG_FILE": (".log", ".txt"),
    "RESUME_EVENT_LOG": (),
    "RESUME_INPUT_FILES": None,
}
"""Settings that name files or directories → the suffixes that are taken; none: a directory;
``None``: the files are only read."""

FEED_SUFFIXES: Final = frozenset(
    {".json", ".jsonl", ".jsonlines", ".jl", ".ndjson", ".csv", ".tsv", ".xml"}
    | {".pickle", ".marshal"}
)
PACKED_SUFFIXES: Final = frozenset({".gz", ".bz2", ".xz", ".lzma"})

DATABASE_SUFFIXES: Final = frozenset({".db", ".sqlite", ".sqlite3"})

FEED_OPTIONS: Final = frozenset(
    {"batch_item_count", "encoding", "fields", "format", "indent", "overwrite", "store_empty"}
)
"""Options of a feed that name no code."""

_NAMES_CODE: Final = re.compile(
    r"ADDONS|BACKEND|CLASS|CODECS|COMMAND|CONTRACTS|EDITOR|EXECUTABLE|EXPORTERS|EXTENSIONS|FACTORY"
    r"|FORMATTER|HANDLERS|JOBDIR|LOOP|MIDDLEWARES|MODULE|PARSER|PIPELINES|POLIC|PROCESSOR|PROVIDERS"
    r"|QUEUE|REACTOR$|RESOLVER|SCHEDULER$|DOWNLOADER$|STORAGE|TEMPLATES|TRUSTED|URI_PARAMS|EXCEPTIONS"
    r"|RENAMED|STEPS|STATE$|TEMPDIR|JOBS_DIR"
)
_WORDS: Final = re.compile(r"[\w ,%+-]*")
_ARGUMENT: Final = re.compile(r"\w[\w.-]*")
_COMPONENT: Final = re.compile(
    r"twisted\.internet\.\w+reactor\.\w+Reactor"
    r"|scrapy\.(squeues|pqueues|dupefilters|exporters|logformatter)\.[A-Z]\w+"
    r"|scrapy\.(extensions|pipelines|downloadermiddlewares|spidermiddlewares)\.\w+\.[A-Z]\w+"
)
"""Components of Twisted's and Scrapy's."""


@dataclass(frozen=True)
class Surroundings:
    """Where a job may read and write on the store's word."""

    directory: Path
    """The working directory of the crawl."""
    roots: Sequence[Path]
    """The directories in which its files may be."""
    store: Path | None
    """The directory of the store, in which nothing else may be; ``None``: a database."""
    packages: Sequence[str]
    """The project's packages, and those of RESUME_TRUSTED."""
    is_own_feed: Callable[[Path], bool]
    """Whether the ownership note beside a file says that the job has written it."""

    def has(self, path: Path) -> bool:
        """Whether a path lies in the surroundings, and is the user's as far as it exists."""
        place = Path(os.path.realpath(self.directory / path))
        if self.store is not None and place.is_relative_to(self.store):
            return False
        root = next((root for root in self.roots if place.is_relative_to(root)), None)
        if root is None:
            return False
        between = [place, *place.parents][: len(place.parts) - len(root.parts)]
        return all(_is_users(part) for part in between if part.exists())


def doubts(
    launch: Launch, spider: str, given: Iterable[str], surroundings: Surroundings
) -> Iterator[str]:
    """What is doubtful, in the words of a command line; nothing if the crawl may be started.

    ``given``: names of the settings that the user has given now: they are the user's word.
    """
    if launch.command == "runspider":
        yield from _standalone_doubts(launch, spider, surroundings)
    for name, value in launch.arguments.items():
        if not _ARGUMENT.fullmatch(name) or "\0" in str(value):
            yield f"-a {name}=…"
    for name, value in launch.settings.items():
        if name not in given and not _is_harmless(name, value, surroundings):
            yield f"-s {name}={_shown(value)}"


def program_doubts(launch: Launch, surroundings: Surroundings) -> Iterator[str]:
    """The same of the program of a stage: a file of the user's that uses this package, in a
    directory of theirs, or a module of the project's."""
    # The writers of a database are known to it.
    anywhere = surroundings.store is None
    directory = Path(launch.directory)
    if not anywhere and not surroundings.has(directory):
        yield f"cd {directory}"
    if launch.module is not None:
        top = launch.module.partition(".")[0]
        if top not in surroundings.packages and not (directory / top).is_dir():
            yield f"python -m {launch.module}"
        return
    file = Path(launch.file or "")
    if not _uses_stages(file) or not (anywhere or surroundings.has(file)):
        yield f"python {file}"


def _uses_stages(file: Path) -> bool:
    """Whether a program of the user's imports this package. It is not run to find out."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    imported = [
        name
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    ]
    return _is_users(file) and any(name.partition(".")[0] == "scrapy_resume" for name in imported)


def _standalone_doubts(launch: Launch, spider: str, surroundings: Surroundings) -> Iterator[str]:
    file, directory = Path(launch.file or ""), Path(launch.directory)
    # The writers of a database are known to it.
    anywhere = surroundings.store is None
    if not anywhere and not surroundings.has(directory):
        yield f"cd {directory}"
    if not _defines_spider(file, spider) or not (anywhere or surroundings.has(file)):
        yield f"runspider {file}"


def _defines_spider(file: Path, spider: str) -> bool:
    """Whether a file has a class with the spider's name. It is not run to find out."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    return _is_users(file) and any(
        isinstance(node, ast.Constant) and node.value == spider
        for kind in ast.walk(tree)
        if isinstance(kind, ast.ClassDef)
        for node in map(_value_of_name, kind.body)
    )


def _value_of_name(statement: ast.stmt) -> ast.expr | None:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    named = any(isinstance(target, ast.Name) and target.id == "name" for target in targets)
    return statement.value if named else None  # type: ignore[attr-defined]


def _is_harmless(name: str, value: Any, surroundings: Surroundings) -> bool:
    if not name.isidentifier() or "\0" in str(value):
        return False
    if name in FREE_TEXT:
        return True
    if name == "FEEDS":
        return _are_harmless_feeds(value, surroundings)
    if name in PATHS:
        return _is_harmless_path(value, PATHS[name], surroundings)
    if _NAMES_CODE.search(name):
        return all(_is_trusted_code(text, surroundings) for text in _texts(_parsed(value)))
    return all(
        _WORDS.fullmatch(text) or _is_trusted_code(text, surroundings)
        for text in _texts(_parsed(value))
    )


def _is_trusted_code(text: str, surroundings: Surroundings) -> bool:
    """Whether a text names code of the project, of this package or a component of Scrapy's, or is
    a number."""
    packages = (*surroundings.packages, "scrapy_resume")
    return (
        _is_number(text)
        or _COMPONENT.fullmatch(text) is not None
        or any(text == package or text.startswith(f"{package}.") for package in packages)
    )


def _is_harmless_path(value: Any, suffixes: Any, surroundings: Surroundings) -> bool:
    if suffixes is None:
        return True
    if value is None or isinstance(value, bool) or _is_number(str(value)):
        return True
    if not isinstance(value, str) or "://" in value:
        return False
    path = Path(value)
    return surroundings.has(path) and (not suffixes or path.suffix in suffixes)


def _are_harmless_feeds(value: Any, surroundings: Surroundings) -> bool:
    feeds = _parsed(value)
    return isinstance(feeds, Mapping) and all(
        isinstance(options, Mapping)
        and options.keys() <= FEED_OPTIONS
        and (
            _is_harmless_database(str(uri), surroundings)
            if options.get("format") == "sql"
            else _is_harmless_feed(str(uri), surroundings)
        )
        for uri, options in feeds.items()
    )


def _is_harmless_database(uri: str, surroundings: Surroundings) -> bool:
    """Whether a feed is a table of an SQLite file there: the rows of others stay in it. (A server
    is named again by whoever resumes the crawl.)"""
    location, _, table = uri.rpartition("#")
    path = Path(unquote(location.removeprefix("sqlite:///")))
    own = not table.startswith("scrapy_resume")
    return (
        location.startswith("sqlite:///")
        and own
        and path.suffix in DATABASE_SUFFIXES
        and surroundings.has(path)
    )


def _is_harmless_feed(uri: str, surroundings: Surroundings) -> bool:
    if uri in ("-", "stdout:"):
        return True
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return False
    path = surroundings.directory / (unquote(parts.path) if parts.scheme else uri)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FEED_SUFFIXES:
        return False
    if surroundings.is_own_feed(path):
        return True
    # A file that is there and that the job has not written is somebody's.
    return surroundings.has(path) and not os.path.lexists(path)


def _parsed(value: Any) -> Any:
    """A setting that the command line has given as JSON, as what it stands for."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, keys included; numbers, switches and ``None`` are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "none", "")
    return True


def _is_users(path: Path) -> bool:
    """Whether a file or directory belongs to the user, and nobody else can write to it."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid in (os.geteuid(), 0) and not found.st_mode & 0o002


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:80]}…"
