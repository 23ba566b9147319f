"""Parses the locations that a person gives: of a store, of event logs, of a command's file.

A text that looks like a URL, but is none, never becomes the name of a directory: the name would
contain the password, and would be logged and shown.
"""

from __future__ import annotations

import re
import unicodedata
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.masking import masked_refusal

DATABASES: Final = ("postgresql", "postgres")
"""The schemes of databases that are supported."""

_WRITE: Final = (
    "write a directory or a postgresql:// URL, such as "
    "postgresql://user:password@host:5432/database"
)
_ENCODE: Final = "in user and password write %20 for a space, %40 for @, %2F for /"

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_EXPLICIT: Final = re.compile(r"\.{1,2}(/|$)")
"""A path that says that it is one."""

_BROKEN_URL: Final = re.compile(
    r"://"  # of another kind, or with something before it
    r"|(?:^|/)[a-z][a-z0-9+.-]*:/"  # a slash is missing, or pathlib has removed it
    r"|(?:^|/)(?:postgres|pgsql|mysql|mariadb|sqlite|redis|mongodb|jdbc)[a-z0-9+.-]*:"
    r"|^(?:postgres|pgsql|mysql|mariadb|sqlite|redis|mongodb)[a-z0-9+.-]*//"
    r"|:.*@"  # user:password@host
    r"|^(?:[a-z][a-z0-9.-]*|\d+\.\d+\.\d+\.\d+):\d{4,5}(?:/|$)",  # host:port
    re.IGNORECASE,
)
_CONNINFO: Final = re.compile(
    r"(?:^|\s)(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options)\s*=",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(r"\$\{?\w|%\(\w+\)s|\{\{|^\{\w+\}$|^%\w+%$|^<.+>$")
_QUOTES: Final = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"


class StoreLocation(str):
    """A location that was parsed: an absolute directory, or the URL of a database."""

    __slots__ = ()

    @property
    def is_database(self) -> bool:
        """Whether it is the URL of a database; a directory otherwise."""
        return not self.startswith("/")


def parsed_location(given: object, name: str = "RESUME_STORE") -> StoreLocation:
    """An absolute directory, or the URL of a PostgreSQL database.

    ``given``: text or a path; ``name``: what it is called in messages. ``~`` is the home directory;
    white space around a URL is removed. A path that begins with ``./`` or ``../``, and an absolute
    one that exists, is a directory whatever it looks like. Raises ``ConfigurationError``, with a
    message of one line that does not contain a password.
    """
    if isinstance(given, StoreLocation):
        return given
    text = _text_of(given, name)
    url = text.strip()
    scheme = _SCHEME.match(url)
    if scheme is None or isinstance(given, PathLike):
        return StoreLocation(parsed_directory(given, name, or_url=True))
    if scheme[1].lower() not in DATABASES:
        raise ConfigurationError(
            f"{name} begins with {scheme[0]!r}, which is not a supported kind of store: {_WRITE}"
        )
    if not url.isprintable() or any(map(str.isspace, url)):
        raise ConfigurationError(
            f"{name} is {masked_refusal(text)}, a URL with a space or an invisible character in"
            f" it: remove it ({_ENCODE})"
        )
    return StoreLocation(scheme[1].lower() + url[len(scheme[1]) :])


def parsed_directory(given: object, name: str, *, or_url: bool = False) -> Path:
    """A directory, absolute; see ``parsed_location``. ``or_url``: the message names a URL as well.

    Raises ``ConfigurationError``.
    """
    text = _text_of(given, name)
    remedy = _WRITE if or_url else "write a directory"
    if "\0" in text:
        raise ConfigurationError(f"{name} contains a NUL character: {remedy}")
    if not (text.startswith("/") and Path(text).is_dir()):
        trouble = _trouble_of(text)
        if trouble is not None:
            way = "create it first" if text.startswith("/") else "put ./ in front of it"
            raise ConfigurationError(
                f"{name} is {masked_refusal(text)}, which {trouble}: {remedy}. For a directory of"
                f" that name, {way}."
            )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # there is no such user, or no home directory
        raise ConfigurationError(
            f"{name} is {masked_refusal(text)}, and the home directory that ~ stands for is not"
            " known: write the whole path"
        ) from error


def check_file_name(given: str) -> None:
    """Refuse a file's name that looks like the URL of a database. Raises ``ConfigurationError``."""
    if _EXPLICIT.match(given) or not _BROKEN_URL.search(given) or Path(given).exists():
        return
    way = "create it first" if given.startswith("/") else "put ./ in front of it"
    raise ConfigurationError(
        f"{masked_refusal(given)} looks like a URL, and not like the name of a file: write a path."
        f" For a file of that name, {way}."
    )


def _text_of(given: object, name: str) -> str:
    try:
        text = fspath(given) if isinstance(given, PathLike) else given
    except TypeError:
        text = None
    if not isinstance(text, str):
        shown = masked_refusal(repr(given))
        raise ConfigurationError(f"{name} is {shown}, neither text nor a path: {_WRITE}")
    if not text.strip():
        raise ConfigurationError(f"{name} is {text!r}, which is empty: {_WRITE}")
    return text


def _trouble_of(text: str) -> str | None:
    """What keeps a text from being taken for a directory; ``None``: nothing."""
    if _EXPLICIT.match(text):
        return None
    # Fullwidth and other variants of ASCII characters look the same to a person.
    plain = unicodedata.normalize("NFKC", text)
    visible = "".join(char for char in plain if char.isprintable())
    if visible[:1] in _QUOTES or visible[-1:] in _QUOTES:
        return "is in quotes"
    if _CONNINFO.search(visible):
        return "looks like a connection string of libpq"
    if _BROKEN_URL.search(visible):
        return "looks like the URL of a database, and is none that is supported"
    if _PLACEHOLDER.search(visible):
        return "looks like a variable that was not replaced"
    if not text.isprintable():
        return "contains a line break or an invisible character"
    return "begins or ends with a space" if text != text.strip() else None
