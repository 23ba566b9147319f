"""Loads the named queries of ``.sql`` files.

A block begins with a line ``-- name: lease_requests``; the comment lines that follow
describe it; the rest, up to the next block, is the statement. A query has the name of
the function or the transition that runs it.

A comment ``/* if retried: … */`` in a statement is its part in runs that fetch only what was
retried, and what that leads to; ``/* if refused: … */`` in those of a run that has refused rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.abc import Traversable

NAME_MARK = "-- name:"

_IF_RETRIED: Final = re.compile(r"/\* if retried: (.*?) \*/\s?")
_IF_REFUSED: Final = re.compile(r"/\* if refused: (.*?) \*/\s?")


def load_queries(*path: str, retried: bool = False, refused: bool = False) -> Mapping[str, str]:
    """The blocks of ``store/sql/<path>``: name → statement, without its description.

    ``retried``: the statements of runs that fetch only what was retried; ``refused``: of those
    that have refused rows; see the module.
    Raises ``ValueError`` for a block without a description or a statement, and for a name that
    occurs twice: the files are part of the package, so that is a defect of it.
    """
    text = _IF_RETRIED.sub(r"\1 " if retried else "", read_sql(*path))
    text = _IF_REFUSED.sub(r"\1 " if refused else "", text)
    return MappingProxyType(dict(_parse(text)))


def read_sql(*path: str) -> str:
    """The text of ``store/sql/<path>``."""
    return sql_folder().joinpath(*path).read_text(encoding="utf-8")


def sql_folder(*path: str) -> Traversable:
    """``store/sql/<path>``, whether it exists or not."""
    return files("scrapy_resume.store").joinpath("sql", *path)


def _parse(text: str) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for block in text.split(NAME_MARK)[1:]:
        name, _, rest = block.partition("\n")
        name = name.strip()
        lines = rest.splitlines()
        described = [line for line in lines if line.startswith("-- ")]
        statement = "\n".join(line for line in lines if not line.startswith("--")).strip()
        if not described or not statement or name in names:
            raise ValueError(
                f"the SQL block {name!r} lacks a description or a statement, or occurs twice"
            )
        names.add(name)
        yield name, statement
