"""The schemas of the documents of ``--json``: ``docs/schemas``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


@cache
def registry() -> Registry[Any]:
    """All of them: they refer to one another."""
    found = [Resource.from_contents(_read(file)) for file in sorted(SCHEMAS.glob("*.json"))]
    return Registry().with_resources((one.id() or "", one) for one in found)


def check(document: Any, name: str) -> None:
    """Raises ``jsonschema.ValidationError``."""
    validator = Draft202012Validator(_read(SCHEMAS / f"{name}.json"), registry=registry())
    validator.validate(document)


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))
