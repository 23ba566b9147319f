"""``docs/schemas``: there is one for each document of ``--json``, and the docs name what it has.

That the documents are as their schemas say is seen wherever a test calls a command
(``tests/commands/conftest.py``).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scrapy_resume.commands import SUBCOMMANDS
from scrapy_resume.events.log_files import TYPES
from tests.support import schemas
from tests.test_docs import DOCS, sections

Schema = dict[str, Any]

SCHEMAS: dict[str, Schema] = schemas.read()


def options_of(subcommand: str) -> set[str]:
    parser = argparse.ArgumentParser()
    import_module(f"scrapy_resume.commands.{subcommand}").add_arguments(parser)
    return {option for action in parser._actions for option in action.option_strings}


def parts_of(schema: Any) -> Iterator[Schema]:
    """Every object in a schema, itself included."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from parts_of(part)


def target_of(reference: str, file: str) -> tuple[Schema, str]:
    """(what is referred to in a file, the file that it is in)."""
    other, _, place = reference.partition("#")
    file = other.removesuffix(".json") or file
    part = SCHEMAS[file]
    for step in place.split("/")[1:]:
        part = part[step]
    return part, file


def forms_of(part: Schema, file: str) -> Iterator[Schema]:
    """What the keys of a document, or of each element of an array, are said in."""
    yield part
    for one in (part.get("items", {}), *part.get("anyOf", ()), *part.get("oneOf", ())):
        yield from forms_of(one, file) if one else ()
    if "$ref" in part:
        yield from forms_of(*target_of(part["$ref"], file))


def titles() -> dict[str, str]:
    """Of the schemas that there have to be, by name."""
    found = {}
    for name in SUBCOMMANDS:
        options = options_of(name)
        if "--json" in options:
            found[name] = f"scrapy resume {name} --json"
        if {"--json", "-o"} <= options and name != "export":  # which has no other document
            found[f"{name}-file"] = f"scrapy resume {name} -o FILE --json"
    return found


def test_every_subcommand_with_json_has_a_schema_and_no_schema_is_without_one() -> None:
    references = {
        part["$ref"]
        for schema in SCHEMAS.values()
        for part in parts_of(schema)
        if isinstance(part.get("$ref"), str)
    }
    shared = {name for name in SCHEMAS if f"{name}.json" in references} - titles().keys()
    documents = {name: schema["title"] for name, schema in SCHEMAS.items() if name not in shared}
    assert documents == titles()


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_valid_and_closed(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.json"
    parts = list(parts_of(schema))
    closed_elsewhere = [
        id(form)
        for part in parts
        if part.get("unevaluatedProperties") is False
        for form in forms_of(part, name)
    ]
    for part in parts:
        if part.get("type") == "object" and "properties" in part:
            assert part.get("additionalProperties") is False or id(part) in closed_elsewhere
            assert set(part["required"]) == set(part["properties"])


def test_the_log_s_has_every_type_of_event_and_no_other() -> None:
    forms = forms_of(SCHEMAS["log"], "log")
    kinds = [form["properties"]["type"] for form in forms if "properties" in form]
    assert {name for kind in kinds for name in [kind.get("const"), *kind.get("enum", ())]} == {
        None,
        *TYPES,
    }


@pytest.mark.parametrize("name", titles())
def test_every_key_of_a_document_is_documented(name: str) -> None:
    keys = {key for form in forms_of(SCHEMAS[name], name) for key in form.get("properties", ())}
    text = sections("commands.md")[name.removesuffix("-file")]
    text += "".join(sections("commands.md")[other] for other in re.findall(r"`(\w+) --json`", text))
    if name == "log":
        text = (DOCS / "events.md").read_text(encoding="utf-8")
    assert keys
    assert not [key for key in sorted(keys) if not re.search(rf'["`]{key}["`]', text)]
