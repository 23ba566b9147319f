"""Hashes of the input files of a crawl, by which a change between two runs is detected."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from scrapy_resume.errors import ConfigurationError, InputChangedError


def hash_inputs(paths: Iterable[str], recorded: Collection[str] = ()) -> dict[str, str]:
    """Path → SHA-256 in hex. ``recorded``: the paths that were hashed when the job began.

    A file that cannot be read raises ``InputChangedError`` if it is one of ``recorded``, and
    ``ConfigurationError`` otherwise.
    """
    hashes: dict[str, str] = {}
    for path in paths:
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except OSError as error:
            trouble = f"The input file {path} cannot be read ({error.strerror})"
            if path in recorded:
                raise InputChangedError(
                    f"{trouble}, but the job began with it. Restore it, or begin a new job with"
                    " RESUME_MODE=fresh."
                ) from error
            raise ConfigurationError(
                f"{trouble}. Correct its path in RESUME_INPUT_FILES or in the spider's"
                " resume_input_files, or remove it there."
            ) from error
        hashes[path] = digest.hexdigest()
    return hashes
