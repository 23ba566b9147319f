"""The schemas of the documents of ``--json``: ``docs/schemas``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


@cache
def read() -> dict[str, Any]:
    """All of them, by the names of their files."""
    return {file.stem: _parsed(file) for file in sorted(SCHEMAS.glob("*.json"))}


@cache
def validator(name: str) -> Draft202012Validator:
    """Of one of them; they refer to one another."""
    found = [Resource.from_contents(schema) for schema in read().values()]
    registry: Registry[Any] = Registry().with_resources((one.id() or "", one) for one in found)
    return Draft202012Validator(read()[name], registry=registry)


def check(document: Any, name: str) -> None:
    """Raises ``jsonschema.ValidationError``."""
    validator(name).validate(document)


def check_printed(text: str, words: Sequence[str]) -> None:
    """What ``scrapy resume`` with these words, ``--json`` among them, has printed."""
    check(json.loads(text), schema_of(words))


def schema_of(words: Sequence[str]) -> str:
    """The name of the schema: the subcommand's, and of what is written to a file its own."""
    name = words[0]
    return f"{name}-file" if "-o" in words and f"{name}-file" in read() else name


def _parsed(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_said_once)


def _said_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that is there twice would be taken for what is said last, and no one would know."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a key is there twice among {[key for key, _ in pairs]}")
    return found
