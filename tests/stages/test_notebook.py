"""A stage in a notebook: its cell is interrupted, and run again."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scrapy_resume import open_store
from tests.support.skips import not_started

if TYPE_CHECKING:
    from pathlib import Path

PREPARED = """
import asyncio, os, signal
from scrapy_resume import Stage
STORE = {store!r}
begun = []
async def enrich(number):
    begun.append(number)
    if len(begun) == 30:
        os.kill(os.getpid(), signal.SIGINT)   # what the button "interrupt" sends
    await asyncio.sleep(0.01)
    return {{"number": number}}
"""

CELL = """
async with Stage("notebook", store=STORE) as stage:
    counts = await stage.map(enrich, range(100), concurrency=4)
print(stage.status, counts["done"])
"""

PLAIN = """
with Stage("plain", store=STORE) as stage:
    counts = stage.map(lambda number: {"number": number}, range(20))
print(stage.status, counts["done"])
"""


@pytest.mark.soak
def test_an_interrupted_cell_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "jupyter", "nbconvert"]
    try:
        subprocess.run([*program, "--version"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        not_started("jupyter nbconvert", error)
    store, notebook = tmp_path / "store", tmp_path / "stage.ipynb"
    cells = [PREPARED.format(store=str(store)), CELL, CELL, PLAIN]
    notebook.write_text(
        json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {},
                "cells": [
                    {
                        "cell_type": "code",
                        "id": f"cell-{place}",
                        "source": cell,
                        "metadata": {},
                        "outputs": [],
                        "execution_count": None,
                    }
                    for place, cell in enumerate(cells)
                ],
            }
        )
    )
    words = ["--to", "notebook", "--execute", "--inplace", str(notebook)]
    subprocess.run([*program, *words], check=True, capture_output=True)
    executed = json.loads(notebook.read_text())["cells"]
    first, second, plain = (
        "".join(out.get("text", [""])[-1] for out in cell["outputs"] if out.get("name") == "stdout")
        for cell in executed[1:]
    )
    assert first.startswith("paused 3")
    assert second.startswith("completed ")
    assert plain.startswith("completed 20")
    document = open_store(store).job("notebook")
    assert document["requests"]["done"] == document["requests"]["total"] == 100
    assert document["items"]["stored"] == 100
