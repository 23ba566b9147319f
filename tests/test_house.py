"""How the package is built: what is private to Scrapy, and what knows nothing of it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "scrapy_resume"
MODULES = sorted(PACKAGE.rglob("*.py"))

OWN_RECEIVERS = {"self", "cls", "super()"}
PUBLIC_ALL_THE_SAME = {"_fields", "_field_defaults", "_asdict", "_replace", "_make", "_getframe"}
"""Documented by the standard library: of named tuples, and ``sys._getframe``."""

NOT_OF_SCRAPY = {"_ElementUnicodeResult"}
"""lxml has no public name for the text that XPath gives."""

LONGEST_PARAMETER_LIST = 7


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


@cache
def own_names(path: Path) -> set[str]:
    """Private names that a module itself gives: methods, fields, what it assigns on ``self``."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


def foreign_private_names(path: Path) -> Iterator[str]:
    """Private names that a module uses of others: of any object but its own, or inherited from
    outside of its package."""
    own = set().union(*(own_names(other) for other in path.parent.glob("*.py")))
    for node in ast.walk(parsed(path)):
        name, receiver = "", ""
        if isinstance(node, ast.Attribute):
            name, receiver = node.attr, ast.unparse(node.value)
        elif isinstance(node, ast.alias):
            name = node.name.rpartition(".")[2]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"getattr", "setattr", "hasattr", "delattr"}
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
        ):
            name, receiver = str(node.args[1].value), ast.unparse(node.args[0])
        if not is_private(name) or name in PUBLIC_ALL_THE_SAME | NOT_OF_SCRAPY:
            continue
        if receiver not in OWN_RECEIVERS or name not in own:
            yield f"{path.relative_to(PACKAGE)}:{node.lineno} {receiver}.{name}"


def test_only_the_engine_package_touches_private_parts_of_scrapy() -> None:
    outside = [path for path in MODULES if PACKAGE / "engine" not in path.parents]
    assert [name for path in outside for name in foreign_private_names(path)] == []


def test_the_check_for_private_parts_finds_them() -> None:
    assert list(foreign_private_names(PACKAGE / "engine" / "hooks.py"))


@pytest.mark.parametrize("package", ["tracking", "dispatch", "politeness", "frontier", "commits"])
def test_what_decides_about_requests_knows_neither_scrapy_nor_twisted(package: str) -> None:
    names = [f"scrapy_resume.{package}.{path.stem}" for path in (PACKAGE / package).glob("*.py")]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({'scrapy', 'twisted'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_crawl_imports_nothing_of_an_extra() -> None:
    names = ["addon", "extensions", "scheduler", "spidermiddlewares", "feedexport", "commands"]
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module('scrapy_resume.' + name)\n"
        "extras = {'sqlalchemy', 'psycopg', 'starlette', 'uvicorn', 'jinja2'}\n"
        "print(sorted(extras & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def constructors() -> Iterator[tuple[str, ast.FunctionDef, list[str]]]:
    for path in MODULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                yield str(path.relative_to(PACKAGE)), node, lines


def test_a_constructor_with_many_parameters_gives_the_reason() -> None:
    without_reason = []
    for path, node, lines in constructors():
        arguments = node.args
        count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
        if count <= LONGEST_PARAMETER_LIST:
            continue
        head = lines[node.lineno - 1 : node.body[0].end_lineno]
        if not any(line.strip().startswith("#") for line in head):
            without_reason.append(f"{path}:{node.lineno} has {count}")
    assert without_reason == []


def test_every_package_says_what_lives_there() -> None:
    for init in PACKAGE.rglob("__init__.py"):
        text = ast.get_docstring(parsed(init)) or ""
        assert len(text.splitlines()) >= 3 or init.parent == PACKAGE, init
