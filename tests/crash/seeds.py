"""Tries one seed after another, and says which were bad: the end of the programs that draw."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


@dataclass(frozen=True)
class Tried:
    """What one seed makes."""

    complaints: Iterable[str]
    """What is wrong, when it has been tried."""
    described: Callable[[], str]
    """What was drawn."""
    label: str = ""


def try_seeds(seeds: Iterable[int], folder: Path, begin: Callable[[int, Path], Tried]) -> NoReturn:
    """Try each seed in a folder of its own, which is kept if it is bad; end the process."""
    bad = 0
    for seed in seeds:
        began = time.monotonic()
        own = folder / str(seed)
        shutil.rmtree(own, ignore_errors=True)
        tried = begin(seed, own)
        found = list(tried.complaints)
        bad += bool(found)
        took = time.monotonic() - began
        print(f"{seed} {tried.label}{took:.1f} s {'BAD' if found else 'ok'}", flush=True)
        if found:
            print(tried.described(), *found, sep="\n    ", flush=True)
        else:
            shutil.rmtree(own, ignore_errors=True)
    print(f"{bad} bad")
    sys.exit(1 if bad else 0)
