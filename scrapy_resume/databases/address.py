"""The URI of a database that is a feed: where it is, and which table. Imports no driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.settings.masking import masked_refusal, without_password

FORMAT: Final = "sql"
"""The format of feeds that are databases."""

_SCHEMES: Final = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+psycopg": "postgresql",
}
"""Scheme → dialect."""

_PARAMETER: Final = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Address:
    """A table of a database."""

    dialect: str
    """``sqlite`` or ``postgresql``."""
    url: str
    """For SQLAlchemy, with the password."""
    schema: str | None
    table: str
    shown: str
    """The URI without a password."""

    @property
    def full_table(self) -> str:
        """``schema.table``."""
        return self.table if self.schema is None else f"{self.schema}.{self.table}"


def name_of(template: str) -> str:
    """What a feed is called wherever it is shown or stored: its URI without a password."""
    if "://" not in template:
        return masked_refusal(template)
    location, mark, table = template.rpartition("#")
    if not mark or _is_in_password(location, table):
        return without_password(template)
    return f"{without_password(location)}#{table}"


def _is_in_password(location: str, fragment: str) -> bool:
    """Whether the last ``#`` may stand in a password, and what follows is no table."""
    return "@" in fragment and "@" not in location and not location.startswith("sqlite")


def filled(template: str, parameters: Mapping[str, Any]) -> str:
    """The URI with ``%(name)s`` replaced; nothing else is. Raises ``ConfigurationError``."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in parameters:
            raise ConfigurationError(
                f"the URI of the feed {name_of(template)} has {found[0]}, and the spider has no"
                f" attribute {found[1]}"
            )
        return str(parameters[found[1]])

    return _PARAMETER.sub(value, template)


def parsed_address(uri: str, default_table: str) -> Address:
    """Raises ``ConfigurationError``, which says what is wrong."""
    location, mark, fragment = uri.rpartition("#")
    if not mark:
        location, fragment = uri, ""
    scheme, separator, rest = location.partition("://")
    dialect = _SCHEMES.get(scheme.lower())
    if not separator or dialect is None:
        raise ConfigurationError(
            f"the feed {masked_refusal(uri)} has the format sql, and is no database that can be"
            " written: use sqlite:///shop.db#table or postgresql://user@host/database#table"
        )
    if dialect == "postgresql":
        _check_password(location, fragment, uri)
    schema, table = _table(fragment, default_table)
    _check_table(table, dialect)
    if dialect == "sqlite":
        return Address(dialect, f"sqlite:///{_file(rest, uri)}", schema, table, name_of(uri))
    return Address(dialect, f"postgresql+psycopg://{rest}", schema, table, name_of(uri))


def _check_table(table: str, dialect: str) -> None:
    reserved = ("scrapy_resume_", "sqlite_") if dialect == "sqlite" else ("scrapy_resume_",)
    for prefix in reserved:
        if table.lower().startswith(prefix):
            raise ConfigurationError(
                f"the table {table!r} of a feed has a name that begins with {prefix}: such tables"
                " hold what the feeds, or the database itself, keep for themselves. Give another"
                " name"
            )


def _check_password(location: str, fragment: str, uri: str) -> None:
    """A password with an unescaped ``@`` or ``#`` would be taken for a part of the host, and be
    shown in messages about it."""
    authority = re.split(r"[/?]", location.partition("://")[2], maxsplit=1)[0]
    if _is_in_password(location, fragment) or authority.count("@") > 1:
        raise ConfigurationError(
            f"the feed {masked_refusal(uri)} has a password with @ or #: write %40 and %23 in it"
            " (and %40 in the name of a table)"
        )


def _table(fragment: str, default: str) -> tuple[str | None, str]:
    schema, dot, table = fragment.partition(".")
    if not dot:
        return None, unquote(fragment) or default
    if not schema or not table:
        raise ConfigurationError(
            f"the table {fragment!r} of a feed has an empty part: write table, or schema.table;"
            " a dot in a name is %2E"
        )
    return unquote(schema), unquote(table)


def _file(rest: str, uri: str) -> str:
    if not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise ConfigurationError(
            f"the feed {name_of(uri)} names no file: use sqlite:///shop.db#table, or"
            " sqlite:////var/lib/shop.db#table for an absolute path"
        )
    if "?" in rest:
        raise ConfigurationError(
            f"the feed {name_of(uri)} has options after ?, and SQLite takes none"
        )
    return str(Path(rest[1:]).absolute())
