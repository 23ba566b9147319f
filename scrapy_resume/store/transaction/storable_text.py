"""Text that every store can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping


def as_json(values: Mapping[str, object]) -> str:
    """A JSON object; what JSON cannot hold becomes text."""
    return json.dumps({str(key): value for key, value in values.items()}, default=str)


def storable(text: str) -> str:
    """The text, with what some store cannot hold (lone surrogates, NUL) as escapes."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
